/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libyaml's events to values. A walk with its own short stack: nesting is limited, nothing is
 * kept of what is not a key, and aliases cannot blow anything up since they are refused.
 */
#include "base/assert.h"
#include "base/config_private.h"
#include <yaml.h>

enum frame_kind { FRAME_SECTION, FRAME_LIST, FRAME_RECORDS, FRAME_RECORD };
struct frame {
    enum frame_kind kind;
    size_t path_len; /* of the mapping itself */
    size_t key;      /* of list and records */
    struct config_record *record;
};
struct section {
    const char *name;
    struct section *next;
};

struct reader {
    struct config_loader *loader;
    struct frame frames[VY_CONFIG_DEPTH_MAX];
    size_t depth;
    uint8_t path[VY_CONFIG_NAME_BYTES_MAX]; /* of the pair that is being read */
    size_t path_len;
    uint8_t field[VY_CONFIG_NAME_BYTES_MAX]; /* of the record's pair */
    size_t field_len;
    bool has_name;            /* the value of a pair is next */
    size_t skip_depth;        /* inside something already reported */
    struct section *sections; /* seen so far */
    bool is_done;             /* the root was closed */
    bool is_broken;           /* no sense in going on */
};

static struct vy_bytes path_of(const struct reader *reader)
{
    return vy_bytes(reader->path, reader->path_len);
}

static struct vy_bytes scalar_of(const yaml_event_t *event)
{
    return vy_bytes(event->data.scalar.value, event->data.scalar.length);
}

static bool is_null(const yaml_event_t *event)
{
    const struct vy_bytes text = scalar_of(event);
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || vy_bytes_equal(text, VY_LIT("~")) ||
            vy_bytes_equal(text, VY_LIT("null")));
}

static void push(struct reader *reader, enum frame_kind kind, size_t key)
{
    if (reader->depth == VY_CONFIG_DEPTH_MAX) {
        config_fault(reader->loader, path_of(reader), "is nested too deeply");
        reader->skip_depth = 1;
        return;
    }
    reader->frames[reader->depth++] =
        (struct frame){.kind = kind, .path_len = reader->path_len, .key = key};
    reader->has_name = false;
}

/* ---- names ---- */

static void take_name(struct reader *reader, const struct frame *frame, const yaml_event_t *event)
{
    const struct vy_bytes name = scalar_of(event);
    const size_t dot = frame->path_len == 0 ? 0 : 1;
    reader->has_name = true;
    if (name.len == 0 || name.len > sizeof(reader->path) - frame->path_len - dot) {
        config_fault(reader->loader, vy_bytes_slice(name, 0, VY_CONFIG_NAME_BYTES_MAX),
                     "is no key: empty or too long");
        reader->is_broken = true;
        return;
    }
    if (dot == 1) {
        reader->path[frame->path_len] = '.';
    }
    memcpy(reader->path + frame->path_len + dot, name.data, name.len);
    reader->path_len = frame->path_len + dot + name.len;
}

static void take_field_name(struct reader *reader, const yaml_event_t *event)
{
    const struct vy_bytes name = vy_bytes_slice(scalar_of(event), 0, sizeof(reader->field));
    if (name.len > 0) {
        memcpy(reader->field, name.data, name.len);
    }
    reader->field_len = name.len;
    reader->has_name = true;
}

/* ---- values ---- */

/* Reports what stands at the path; true: it may be set. */
static bool may_set(struct reader *reader, size_t key)
{
    struct config_value *value = &reader->loader->config->values[key];
    if (value->is_from_file) {
        config_fault(reader->loader, path_of(reader), "is set twice, first in line %u",
                     value->line);
        return false;
    }
    value->is_from_file = true;
    value->is_set = true;
    value->line = reader->loader->line;
    value->count = 0; /* a default's */
    value->items = NULL;
    return true;
}

static void take_scalar(struct reader *reader, const yaml_event_t *event)
{
    const struct vy_config_spec *spec = &reader->loader->config->spec;
    const size_t key = config_find_key(spec, path_of(reader));
    if (key == CONFIG_NOT_FOUND && config_is_section(spec, path_of(reader))) {
        if (!is_null(event)) { /* a section whose lines are all commented out is fine */
            config_fault(reader->loader, path_of(reader), "is a section: its keys go below it");
        }
        return;
    }
    if (key == CONFIG_NOT_FOUND) {
        config_fault_unknown(reader->loader, path_of(reader));
        return;
    }
    if (!may_set(reader, key)) {
        return;
    }
    if (is_null(event)) {
        config_fault(reader->loader, path_of(reader), "has no value");
        return;
    }
    config_set_scalar(reader->loader, key, scalar_of(event));
}

static bool is_new_section(struct reader *reader)
{
    struct vy_arena *arena = &reader->loader->config->arena;
    for (const struct section *at = reader->sections; at != NULL; at = at->next) {
        if (vy_bytes_equal(vy_cstr(at->name), path_of(reader))) {
            return false;
        }
    }
    struct section *section = VY_ARENA_NEW(arena, struct section);
    const char *name = vy_arena_cstr(arena, path_of(reader));
    if (section == NULL || name == NULL) {
        reader->loader->is_out_of_memory = true;
        return true;
    }
    *section = (struct section){.name = name, .next = reader->sections};
    reader->sections = section;
    return true;
}

static void open_section(struct reader *reader)
{
    const struct vy_config_spec *spec = &reader->loader->config->spec;
    const struct vy_bytes path = path_of(reader);
    if (config_is_section(spec, path)) {
        if (!is_new_section(reader)) {
            config_fault(reader->loader, path, "is a section that stands there twice");
        }
        push(reader, FRAME_SECTION, CONFIG_NOT_FOUND);
        return;
    }
    if (config_find_key(spec, path) == CONFIG_NOT_FOUND) {
        config_fault_unknown(reader->loader, path);
    } else {
        config_fault(reader->loader, path, "takes a value, not a mapping");
    }
    reader->skip_depth = 1;
}

static void open_sequence(struct reader *reader)
{
    const struct vy_config_spec *spec = &reader->loader->config->spec;
    const size_t key = config_find_key(spec, path_of(reader));
    reader->skip_depth = 1;
    if (key == CONFIG_NOT_FOUND) {
        config_fault_unknown(reader->loader, path_of(reader));
        return;
    }
    const enum vy_config_type type = spec->keys[key].type;
    if (type != VY_CONFIG_LIST && type != VY_CONFIG_RECORDS) {
        config_fault(reader->loader, path_of(reader), "takes one value, not a list");
        return;
    }
    if (may_set(reader, key)) {
        reader->skip_depth = 0;
        push(reader, type == VY_CONFIG_LIST ? FRAME_LIST : FRAME_RECORDS, key);
    }
}

/* ---- one event in each kind of frame ---- */

static void close_frame(struct reader *reader, const struct frame *frame)
{
    if (frame->kind == FRAME_LIST || frame->kind == FRAME_RECORDS) {
        config_check_count(reader->loader, frame->key);
    } else if (frame->kind == FRAME_RECORD) {
        config_check_record(reader->loader, frame->key, frame->record);
    }
    reader->depth--;
    reader->has_name = false;
    reader->is_done = reader->is_done || reader->depth == 0;
}

static void in_section(struct reader *reader, const struct frame *frame, const yaml_event_t *event)
{
    if (!reader->has_name) {
        if (event->type == YAML_SCALAR_EVENT) {
            take_name(reader, frame, event);
        } else {
            config_fault(reader->loader, path_of(reader), "a key must be a plain word");
            reader->is_broken = true;
        }
        return;
    }
    reader->has_name = false;
    if (event->type == YAML_SCALAR_EVENT) {
        take_scalar(reader, event);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        open_section(reader);
    } else {
        open_sequence(reader);
    }
}

static void in_list(struct reader *reader, const struct frame *frame, const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) {
        config_add_item(reader->loader, frame->key, scalar_of(event));
        return;
    }
    config_fault(reader->loader, path_of(reader), "is a list of plain values");
    reader->skip_depth = 1;
}

static void in_records(struct reader *reader, const struct frame *frame, const yaml_event_t *event)
{
    if (event->type != YAML_MAPPING_START_EVENT) {
        config_fault(reader->loader, path_of(reader), "is a list of mappings");
        reader->skip_depth = event->type == YAML_SCALAR_EVENT ? 0 : 1;
        return;
    }
    struct config_record *record = config_add_record(reader->loader, frame->key);
    if (record == NULL) {
        reader->skip_depth = 1;
        return;
    }
    push(reader, FRAME_RECORD, frame->key);
    if (reader->skip_depth == 0) {
        reader->frames[reader->depth - 1].record = record;
    }
}

static void in_record(struct reader *reader, const struct frame *frame, const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT) {
        config_fault(reader->loader, path_of(reader), "has entries of plain values only");
        reader->skip_depth = 1;
        reader->is_broken = !reader->has_name;
        reader->has_name = false;
        return;
    }
    if (!reader->has_name) {
        take_field_name(reader, event);
        return;
    }
    reader->has_name = false;
    config_set_field(reader->loader, frame->key, frame->record,
                     vy_bytes(reader->field, reader->field_len), scalar_of(event));
}

static bool is_start(const yaml_event_t *event)
{
    return event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
}

static bool is_end(const yaml_event_t *event)
{
    return event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
}

static void take_root(struct reader *reader, const yaml_event_t *event)
{
    if (event->type == YAML_MAPPING_START_EVENT) {
        push(reader, FRAME_SECTION, CONFIG_NOT_FOUND);
        return;
    }
    const bool is_nothing = event->type == YAML_SCALAR_EVENT && is_null(event);
    config_fault(reader->loader, VY_LIT(""), "%s",
                 is_nothing ? "the file is empty" : "the file must be a mapping of keys");
    reader->is_broken = true;
}

static void take_event(struct reader *reader, const yaml_event_t *event)
{
    if (reader->skip_depth > 0) {
        reader->skip_depth += is_start(event) ? 1 : 0;
        reader->skip_depth -= is_end(event) ? 1 : 0;
        return;
    }
    if (reader->depth == 0) {
        take_root(reader, event);
        return;
    }
    const struct frame frame = reader->frames[reader->depth - 1];
    reader->path_len =
        frame.kind == FRAME_SECTION && !reader->has_name ? frame.path_len : reader->path_len;
    if (is_end(event)) {
        close_frame(reader, &frame);
        return;
    }
    switch (frame.kind) {
    case FRAME_SECTION:
        in_section(reader, &frame, event);
        break;
    case FRAME_LIST:
        in_list(reader, &frame, event);
        break;
    case FRAME_RECORDS:
        in_records(reader, &frame, event);
        break;
    case FRAME_RECORD:
        in_record(reader, &frame, event);
        break;
    }
}

/* Anchors and aliases make bombs, tags make types: neither has a use here. */
static bool is_plain(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    if (event->type == YAML_ALIAS_EVENT || anchor != NULL || tag != NULL) {
        config_fault(reader->loader, path_of(reader), "anchors, aliases and tags are not accepted");
        return false;
    }
    return true;
}

static void report_yaml(struct reader *reader, const yaml_parser_t *parser, struct vy_bytes text)
{
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* knows an offset only */
        const struct vy_bytes before = vy_bytes_slice(text, 0, parser->problem_offset);
        line = 1;
        for (size_t i = 0; i < before.len; i++) {
            line += before.data[i] == '\n' ? 1 : 0;
        }
    }
    reader->loader->line = line;
    config_fault(reader->loader, path_of(reader), "not YAML: %s",
                 parser->problem == NULL ? "no memory" : parser->problem);
}

/* False: nothing more is to be read. */
static bool step(struct reader *reader, yaml_parser_t *parser, struct vy_bytes text)
{
    yaml_event_t event;
    if (yaml_parser_parse(parser, &event) == 0) {
        report_yaml(reader, parser, text);
        return false;
    }
    reader->loader->line = (unsigned)event.start_mark.line + 1;
    const bool is_content = is_start(&event) || is_end(&event) || event.type == YAML_SCALAR_EVENT;
    bool goes_on = event.type != YAML_STREAM_END_EVENT && is_plain(reader, &event);
    if (goes_on && is_content) {
        take_event(reader, &event);
    } else if (event.type == YAML_DOCUMENT_START_EVENT && reader->is_done) {
        config_fault(reader->loader, VY_LIT(""), "a second document begins here");
        goes_on = false;
    } else if (event.type == YAML_STREAM_END_EVENT && !reader->is_done) {
        reader->loader->line = 1;
        config_fault(reader->loader, VY_LIT(""), "the file is empty");
    }
    yaml_event_delete(&event);
    return goes_on && !reader->is_broken && config_has_room_for_faults(reader->loader);
}

static bool is_utf16(struct vy_bytes text)
{
    return vy_bytes_starts_with(text, VY_LIT("\xFE\xFF")) ||
           vy_bytes_starts_with(text, VY_LIT("\xFF\xFE"));
}

void config_read_yaml(struct config_loader *loader, struct vy_bytes text)
{
    struct reader reader = {.loader = loader};
    yaml_parser_t parser;
    loader->line = 1;
    if (is_utf16(text)) {
        config_fault(loader, VY_LIT(""), "the file is UTF-16: save it as UTF-8");
        return;
    }
    if (vy_bytes_starts_with(text, VY_LIT("\xEF\xBB\xBF"))) { /* some editors' mark of UTF-8 */
        text = vy_bytes_from(text, 3);
    }
    if (yaml_parser_initialize(&parser) == 0) {
        loader->is_out_of_memory = true;
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.data, text.len);
    while (step(&reader, &parser, text)) {
    }
    yaml_parser_delete(&parser);
}
