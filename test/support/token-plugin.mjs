// A credential plugin for tests: prints an ExecCredential whose token says until when it is good. Its argument: milliseconds.
const lifetimeMs = Number(process.argv[2]);
const expiresAt = new Date(Date.now() + lifetimeMs);
const status = { token: `good-until-${expiresAt.getTime()}`, expirationTimestamp: expiresAt.toISOString() };
console.log(JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status }));
