#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""protogen DESCRIPTOR_SET NAME OUT_DIR: plain C structs and codec tables for proto/pb.h from a protoc descriptor set.

Writes OUT_DIR/NAME.pb.h and OUT_DIR/NAME.pb.c. Only what Volary's schemas use is accepted; anything else is an error:
no maps, oneofs, groups, floats, recursive messages or field numbers above 63. Needs nothing but Python.
"""
import pathlib
import re
import sys

TYPES = {  # descriptor type -> (C type, codec kind)
    3: ("int64_t", "INT64"), 4: ("uint64_t", "UINT64"), 5: ("int32_t", "INT32"), 6: ("uint64_t", "FIXED64"),
    8: ("bool", "BOOL"), 9: ("struct vy_bytes", "STRING"), 11: (None, "MESSAGE"), 12: ("struct vy_bytes", "BYTES"),
    13: ("uint32_t", "UINT32"), 14: (None, "ENUM"),
}
FIELD_NUMBER_MAX = 63


def wire(data):
    """Yields (field number, value) of one message; value is int or bytes."""
    at = 0

    def varint():
        nonlocal at
        shift = value = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        elif kind == 2:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield key >> 3, data[at:at + size]
            at += size
        else:
            raise SystemExit("protogen: wire type %d in descriptor" % kind)


def many(data, number):
    return [value for n, value in wire(data) if n == number]


def one(data, number, default=None):
    found = many(data, number)
    return found[-1] if found else default


def text(data, number):
    return one(data, number, b"").decode()


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


class Schema:
    def __init__(self, file):
        self.file = file
        self.package = text(file, 2)
        # Shard, meta and link messages carry their own nouns; the admin API's are common words and get a prefix.
        self.prefix = "admin_" if self.package.startswith("volary.admin.") else ""
        self.messages = [(text(m, 1), m) for m in many(file, 4)]
        self.enums = many(file, 5)
        self.services = many(file, 6)
        self.imports = [value.decode() for value in many(file, 3)]

    def c_name(self, type_name):
        package = "." + self.package + "."
        if not type_name.startswith(package):
            raise SystemExit("protogen: %s is not of package %s" % (type_name, self.package))
        return self.prefix + snake(type_name[len(package):])


class Field:
    def __init__(self, schema, owner, data):
        self.name = text(data, 1)
        self.number = one(data, 3)
        self.repeated = one(data, 4) == 3
        kind = one(data, 5)
        where = "%s.%s" % (owner, self.name)
        if kind not in TYPES:
            raise SystemExit("protogen: %s: type %d is not supported" % (where, kind))
        if one(data, 9) is not None or self.number > FIELD_NUMBER_MAX:
            raise SystemExit("protogen: %s: oneof, optional or number above %d" % (where, FIELD_NUMBER_MAX))
        self.ctype, self.kind = TYPES[kind]
        self.type_name = text(data, 6)
        self.ref = schema.c_name(self.type_name) if self.ctype is None else None
        if self.kind == "MESSAGE":
            self.ctype = "struct " + self.ref
        elif self.kind == "ENUM":
            self.ctype = "enum " + self.ref

    def declare(self):
        if self.repeated:
            return "    size_t %s_count;\n    const %s *%s;\n" % (self.name, self.ctype, self.name)
        if self.kind == "MESSAGE":
            return "    const %s *%s;\n" % (self.ctype, self.name)
        return "    %s %s;\n" % (self.ctype, self.name)

    def row(self, owner):
        count = "offsetof(struct %s, %s_count)" % (owner, self.name) if self.repeated else "0"
        desc = "&%s_desc" % self.ref if self.kind == "MESSAGE" else "NULL"
        return '    {"%s", %d, VY_PB_%s, %s, offsetof(struct %s, %s), %s, %s},\n' % (
            self.name, self.number, self.kind, "true" if self.repeated else "false", owner, self.name, count, desc)


def in_order(schema):
    """Messages so that each stands behind those it holds; recursion is refused."""
    fields = {name: [Field(schema, name, f) for f in many(data, 2)] for name, data in schema.messages}
    by_c_name = {schema.prefix + snake(name): name for name in fields}
    done, busy, order = set(), set(), []

    def visit(name):
        if name in busy:
            raise SystemExit("protogen: message %s holds itself" % name)
        if name in done:
            return
        busy.add(name)
        for field in fields[name]:
            if field.kind == "MESSAGE":
                visit(by_c_name[field.ref])
        busy.discard(name)
        done.add(name)
        order.append(name)

    for name, data in schema.messages:
        if many(data, 3) or many(data, 4):
            raise SystemExit("protogen: %s: nested types and maps are not supported" % name)
        visit(name)
    return [(name, sorted(fields[name], key=lambda f: f.number)) for name in order]


def header(schema, name, ordered):
    out = ["/* Generated from proto/%s.proto by proto/gen/protogen.py. Do not edit. */\n#pragma once\n"
           '#include "proto/pb.h"\n\n' % name]
    for enum in schema.enums:
        out.append("enum %s%s {\n" % (schema.prefix, snake(text(enum, 1))))
        for value in many(enum, 2):
            out.append("    %s = %d,\n" % (text(value, 1), one(value, 2, 0)))
        out.append("};\n\n")
    for message, fields in ordered:
        body = "".join(f.declare() for f in fields) or "    char unused; /* no fields */\n"
        owner = schema.prefix + snake(message)
        out.append("struct %s {\n%s};\nextern const struct vy_pb_desc %s_desc;\n\n" % (owner, body, owner))
    if schema.services:
        out.append("extern const struct vy_pb_method %s_methods[];\nextern const size_t %s_method_count;\n"
                   "/* The file's descriptor, for server reflection. */\n"
                   "extern const uint8_t %s_file_descriptor[];\nextern const size_t %s_file_descriptor_bytes;\n" % ((name,) * 4))
    return "".join(out)


def source(schema, name, ordered):
    out = ["/* Generated from proto/%s.proto by proto/gen/protogen.py. Do not edit. */\n"
           '#include "proto/%s.pb.h"\n#include <stddef.h>\n\n' % (name, name)]
    for message, fields in ordered:
        owner = schema.prefix + snake(message)
        if fields:
            out.append("static const struct vy_pb_field %s_fields[] = {\n%s};\n" % (
                owner, "".join(f.row(owner) for f in fields)))
        out.append('const struct vy_pb_desc %s_desc = {"%s", sizeof(struct %s), %s, %d};\n\n' % (
            owner, message, owner, owner + "_fields" if fields else "NULL", len(fields)))
    if schema.services:
        out.append("const struct vy_pb_method %s_methods[] = {\n" % name)
        total = 0
        for service in schema.services:
            for method in many(service, 2):
                total += 1
                out.append('    {"%s.%s", "%s", &%s_desc, &%s_desc},\n' % (
                    schema.package, text(service, 1), text(method, 1), schema.c_name(text(method, 2)),
                    schema.c_name(text(method, 3))))
        out.append("};\nconst size_t %s_method_count = %d;\n\n" % (name, total))
        rows = [", ".join("%d" % b for b in schema.file[i:i + 24]) for i in range(0, len(schema.file), 24)]
        out.append("const uint8_t %s_file_descriptor[] = {\n    %s};\nconst size_t %s_file_descriptor_bytes = %d;\n" % (
            name, ",\n    ".join(rows), name, len(schema.file)))
    return "".join(out)


def main():
    descriptor, name, out_dir = sys.argv[1:4]
    files = many(pathlib.Path(descriptor).read_bytes(), 1)
    schema = Schema(files[-1])
    ordered = in_order(schema)
    out = pathlib.Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    (out / (name + ".pb.h")).write_text(header(schema, name, ordered))
    (out / (name + ".pb.c")).write_text(source(schema, name, ordered))


main()
