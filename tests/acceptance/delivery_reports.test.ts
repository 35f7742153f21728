import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { on, run } from "../command.ts";
import { createDatabase } from "../database.ts";
import { reportOf } from "../queue/report.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { startScriptedServer } from "../scripted_server.ts";

test(
  "from dsn=success in SMTP_URL to the delivery in get() and in a batch's counts: by the id that the server was given",
  async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer({ offer: ["PIPELINING", "8BITMIME", "DSN"] });
    using state = temporaryDirectory();
    await using relay = startRelayProcess(["run"], {
      ...{ DATABASE_URL: database.url, SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none&dsn=success` },
      ...{ RELAY_STATE_DIR: state.path, PORT: "0" },
    });
    await relay.printed('"msg":"serving"');
    const mail = createMailer(database.sql, { from: "shop@shop.example" });
    await mail.sendMany(
      { subject: "News for {{name}}", text: "!" },
      ["ann", "bob"].map((name) => ({ to: `${name}@example.com`, variables: { name } })),
      { batch: "news" },
    );
    await server.whenMails(2);

    const asked = server.transcripts.map(({ client }) => client).join("");
    const wanted =
      /ENVID=(\S+)\r\nRCPT TO:<ann@example\.com> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;ann@example\.com/;
    const [, id = ""] = wanted.exec(asked) ?? expect.unreachable(asked);
    expect(await mail.wait(id)).toMatchObject({ state: "sent", events: [] });
    const report = reportOf(id, {
      ...{ address: "ann@example.com", action: "delivered", status: "2.0.0", diagnostic: "smtp; 250 2.0.0 ok" },
    });
    expect(await run(["bounce"], on(database), report)).toMatchObject({ code: 0 });

    expect(await mail.get(id)).toMatchObject({
      state: "sent",
      events: [{ type: "delivered", address: "ann@example.com" }],
    });
    expect(await mail.get({ batch: "news" })).toMatchObject({ total: 2, events: { delivered: 1 } });
    expect((await run(["show", id], on(database))).stdout).toContain("delivered");
    expect((await run(["batch", "news"], on(database))).stdout).toContain("1 delivered");
  },
  30_000,
);
