import { POST } from "../../examples/next_route.ts";

// The route as Next.js calls it, in a process of its own, since it keeps its pool for as long as that lives.

const server = Bun.serve({ hostname: "127.0.0.1", port: 0, routes: { "/orders": { POST } } });
console.log(`Listening on ${server.url.origin}`);
