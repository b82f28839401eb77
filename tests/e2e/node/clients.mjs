// SPDX-License-Identifier: Apache-2.0
// nodemailer sends, imapflow reads; every step throws when the server disagrees.
import assert from "node:assert";
import { ImapFlow } from "imapflow";
import nodemailer from "nodemailer";

const user = process.env.USER_NAME;
const pass = process.env.USER_PASSWORD;
const tls = { rejectUnauthorized: false };
const attachment = Buffer.from(Array.from({ length: 100000 }, (_, i) => i % 251));

async function send() {
  const starttls = nodemailer.createTransport({
    host: "127.0.0.1", port: Number(process.env.SUBMISSION), requireTLS: true, auth: { user, pass }, tls,
  });
  const info = await starttls.sendMail({
    from: user, to: user, subject: "über nodemailer", text: "text part\n.dot line\n", html: "<p>html</p>",
    attachments: [{ filename: "ä.bin", content: attachment }],
  });
  assert.deepStrictEqual(info.accepted, [user]);
  const implicit = nodemailer.createTransport({
    host: "127.0.0.1", port: Number(process.env.SUBMISSIONS), secure: true, pool: true, maxConnections: 2, auth: { user, pass }, tls,
  });
  await Promise.all(Array.from({ length: 10 }, (_, i) => implicit.sendMail({ from: user, to: user, subject: `pooled ${i}`, text: "x" })));
  implicit.close();
  const wrong = nodemailer.createTransport({ host: "127.0.0.1", port: Number(process.env.SUBMISSION), auth: { user, pass: "no" }, tls });
  await assert.rejects(wrong.sendMail({ from: user, to: user, text: "x" }), (e) => e.responseCode === 535);
}

function connect(secure) {
  const port = Number(secure ? process.env.IMAPS : process.env.IMAP);
  return new ImapFlow({ host: "127.0.0.1", port, secure, auth: { user, pass }, tls, logger: false });
}

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function read() {
  const client = connect(true);
  await client.connect();
  const lock = await client.getMailboxLock("INBOX");
  assert.strictEqual(client.mailbox.exists, 11);
  const found = await client.search({ header: { subject: "nodemailer" } }, { uid: true });
  assert.strictEqual(found.length, 1);
  const message = await client.fetchOne(String(found[0]), { envelope: true, bodyStructure: true, flags: true, size: true }, { uid: true });
  assert.strictEqual(message.envelope.subject, "über nodemailer");
  const part = message.bodyStructure.childNodes.find((n) => n.disposition === "attachment");
  const { content } = await client.download(String(found[0]), part.part, { uid: true });
  assert.ok((await collect(content)).equals(attachment), "the attachment's bytes");
  await client.messageFlagsAdd(String(found[0]), ["\\Flagged", "$Label1"], { uid: true });
  await client.mailboxCreate("Node/Moved");
  const moved = await client.messageMove(String(found[0]), "Node/Moved", { uid: true });
  assert.strictEqual(moved.uidMap.get(found[0]), 1);
  lock.release();
  const status = await client.status("Node/Moved", { messages: true, uidNext: true, highestModseq: true });
  assert.strictEqual(status.messages, 1);
  assert.ok((await client.list()).some((box) => box.specialUse === "\\Sent"));
  const inner = await client.getMailboxLock("Node/Moved");
  const flags = (await client.fetchOne("1", { flags: true })).flags;
  assert.ok(flags.has("\\Flagged") && flags.has("$Label1"));
  assert.ok(await client.messageDelete("1:*"));
  inner.release();
  await client.logout();
}

async function idle() {
  const client = connect(false);
  await client.connect();
  await client.mailboxOpen("INBOX");
  const told = new Promise((resolve) => client.once("exists", resolve));
  const idling = client.idle();
  const other = connect(false);
  await other.connect();
  await other.append("INBOX", "Subject: while idle\r\n\r\nx", ["\\Seen"]);
  assert.strictEqual((await told).count, 11);
  await other.logout();
  await client.logout();
  await idling;
}

await send();
await read();
await idle();
console.log("all done");
