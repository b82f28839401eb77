// SPDX-License-Identifier: Apache-2.0
// The admin API with the stock gRPC client: messages learned by reflection alone, health, TLS with a client certificate.
import fs from 'node:fs';
import assert from 'node:assert/strict';
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const { SERVER, PROTO_DIR, TLS_CA, TLS_CERTIFICATE, TLS_KEY, ACCOUNT } = process.env;
const read = (file) => fs.readFileSync(file);
const credentials = TLS_CA === undefined ? grpc.credentials.createInsecure()
  : grpc.credentials.createSsl(read(TLS_CA), read(TLS_KEY), read(TLS_CERTIFICATE));
const raw = (bytes) => bytes;

// A method by its path; one codec each way.
function unary(client, method, encode, decode, request) {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method, encode, decode, request, { deadline: Date.now() + 20000 },
      (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

// Reflection, v1 and v1alpha: all files that hold a symbol.
function reflect(client, version, request) {
  const messages = protobuf.loadSync(path.join(PROTO_DIR, 'reflection.proto'));
  messages.resolveAll();
  const asked = messages.lookupType('volary.reflection.ReflectionRequest');
  const told = messages.lookupType('volary.reflection.ReflectionReply');
  const serialize = (object) => Buffer.from(asked.encode(asked.fromObject(object)).finish());
  const deserialize = (bytes) => told.decode(bytes);
  return new Promise((resolve, reject) => {
    const stream = client.makeBidiStreamRequest(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, serialize, deserialize,
      { deadline: Date.now() + 20000 });
    stream.on('data', (reply) => { resolve(reply); stream.end(); });
    stream.on('error', reject);
    stream.write(request);
  });
}

const client = new grpc.Client(SERVER, credentials);

for (const version of ['v1', 'v1alpha']) {
  const services = await reflect(client, version, { listServices: '*' });
  const names = services.listServicesResponse.service.map((row) => row.name);
  assert.ok(names.includes('volary.admin.v1.AccountService'), `${version}: ${names}`);
  assert.ok(names.includes('grpc.health.v1.Health'), `${version}: ${names}`);
}

const answer = await reflect(client, 'v1', { fileContainingSymbol: 'volary.admin.v1.AccountService' });
const set = Buffer.concat(answer.fileDescriptorResponse.fileDescriptorProto.map((file) => {
  const head = [0x0a]; // field 1 of FileDescriptorSet
  for (let rest = file.length; ; rest >>>= 7) {
    if (rest < 0x80) { head.push(rest); break; }
    head.push((rest & 0x7f) | 0x80);
  }
  return Buffer.concat([Buffer.from(head), file]);
}));
const loaded = grpc.loadPackageDefinition(protoLoader.loadFileDescriptorSetFromBuffer(set, { keepCase: true, longs: String }));
const admin = loaded.volary.admin.v1;

const health = await unary(client, '/grpc.health.v1.Health/Check', raw, raw, Buffer.alloc(0));
assert.deepEqual([...health], [0x08, 0x01], 'SERVING');

const call = (service, method, request) => new Promise((resolve, reject) => {
  const stub = new admin[service](SERVER, credentials);
  stub[method](request, { deadline: Date.now() + 20000 }, (error, reply) => {
    stub.close();
    return error ? reject(error) : resolve(reply);
  });
});
const created = await call('AccountService', 'CreateAccount', { account: ACCOUNT, write: { operation_id: Buffer.from('node-1') } });
const again = await call('AccountService', 'CreateAccount', { account: ACCOUNT, write: { operation_id: Buffer.from('node-1') } });
assert.deepEqual(again, created, 'the same operation id: the same result');
const listed = await call('AccountService', 'ListAccounts', { page: { limit: 1000 } });
assert.ok(listed.accounts.some((row) => row.account === ACCOUNT && row.id === created.id));
await assert.rejects(call('AccountService', 'GetAccount', { account: `no-${ACCOUNT}` }), { code: grpc.status.NOT_FOUND });
await assert.rejects(call('AccountService', 'CreateAccount', { account: ACCOUNT }), { code: grpc.status.ALREADY_EXISTS });
await assert.rejects(unary(client, '/volary.admin.v1.AccountService/Bogus', raw, raw, Buffer.alloc(0)), { code: grpc.status.UNIMPLEMENTED });
const many = await Promise.all(Array.from({ length: 100 }, () => call('DomainService', 'ListDomains', {})));
assert.ok(many.every((reply) => reply.domains.length === many[0].domains.length));
client.close();
console.log(`all done over ${path.basename(SERVER)}: ${listed.accounts.length} accounts`);
