import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { type ConnectionEvents, openSocket, type Target } from "../../relay/smtp/connection.ts";
import { TurnEnd } from "../../relay/smtp/turn_end.ts";

const encoder = new TextEncoder();

/** A writer that notes its name when it writes. */
function writer(name: string, into: string[], then: () => void = () => {}) {
  return {
    writeOut() {
      into.push(name);
      then();
    },
  };
}

test("what is said in one turn is written at its end, in order; what is said meanwhile, in the next", async () => {
  const turnEnd = new TurnEnd();
  const written: string[] = [];
  const inTheNext = Promise.withResolvers<void>();
  turnEnd.add(writer("one", written, () => turnEnd.add(writer("three", written, inTheNext.resolve))));
  turnEnd.add(writer("two", written));
  await Promise.resolve();
  expect(written).toEqual([]);
  await inTheNext.promise;
  expect(written).toEqual(["one", "two", "three"]);
});

test("a connection that is closed in the turn in which it said its last word has said it", async () => {
  const heard = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    let text = "";
    socket.on("data", (bytes) => text += bytes);
    socket.on("close", () => heard.resolve(text));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address() as { port: number };
  const events: ConnectionEvents = {
    connected() {
      connection.write(encoder.encode("QU"));
      connection.flush();
      connection.write(encoder.encode("IT\r\n"));
      connection.close();
    },
    secured() {},
    data() {},
    progressed() {},
    handed() {},
    contentFailed() {},
    ended() {},
  };
  const connection = openSocket(target(address.port), events);
  expect(await heard.promise).toBe("QUIT\r\n");
  server.close();
});

function target(port: number): Target {
  return {
    host: "127.0.0.1",
    port,
    isImplicitTls: false,
    verify: true,
    ca: undefined,
    minTls: "TLSv1.2",
    clientCertificate: undefined,
  };
}
