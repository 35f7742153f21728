import { serveSink } from "./sink_server.ts";

// The sink in a process of its own, so that its work is not that of the program measured: says its port, ends with its
// standard input.

const sink = serveSink();
console.log(sink.port);
for await (const _ of Bun.stdin.stream()) { /* nothing is said there but the end */ }
sink.stop();
