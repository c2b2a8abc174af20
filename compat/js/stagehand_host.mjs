// Stagehand 4 keeps its own code in an extension of the browser, and asks for it over the
// browser's DevTools. An extension may do more in a browser than a runtime's client may,
// so a runtime loads none. This runs the extension's code, unchanged, in this process
// instead, and answers what Stagehand's client asks of it; the page is driven by the
// runtime's connect URL.

import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = new URL("./extension/", import.meta.resolve("@browserbasehq/stagehand"));
const id = "stagehand";
const worker = { targetId: "worker", type: "service_worker", title: id, attached: false,
  url: `chrome-extension://${id}/service-worker.js` };
const client = { targetId: "client", type: "other", title: "", url: "about:blank#stagehand-client-connection",
  attached: false, canAccessOpener: false };

/** address is what localBrowser.connect is given as cdpUrl. */
export const address = "ws://extension.invalid/";

/** host starts the extension's code. */
export async function host() {
  const nothing = { addListener() {} };
  globalThis.chrome = {
    runtime: {
      id,
      getURL: (path) => path === "blank.html" ? "about:blank" :
        "data:text/javascript;base64," + readFileSync(fileURLToPath(new URL(path, folder))).toString("base64"),
      getContexts: async () => [{}],
      onConnect: nothing, onStartup: nothing,
    },
    offscreen: { createDocument: async () => {} },
    tabs: { query: async () => [], onCreated: nothing },
    debugger: { getTargets: async () => [] },
    declarativeNetRequest: { getSessionRules: async () => [], updateSessionRules: async () => {} },
  };
  const Real = globalThis.WebSocket;
  // Driving is the connection to the runtime's browser. The extension looks there for a
  // hidden page that its client keeps open for as long as it lives.
  class Driving extends Real {
    // Without its content script in the pages, the extension makes a world of its own for
    // it where it may: on pages that no extension reaches, such as those of about:.
    send(text) {
      super.send(text.replace(`"globalThis.location?.protocol ?? ''"`, `"'about:'"`));
    }
    addEventListener(type, listener, options) {
      const whole = type !== "message" ? listener : (event) => {
        if (!String(event.data).includes('"targetInfos"')) return listener(event);
        const message = JSON.parse(event.data);
        message.result?.targetInfos?.push(client);
        listener(new MessageEvent("message", { data: JSON.stringify(message) }));
      };
      super.addEventListener(type, whole, options);
    }
  }
  globalThis.WebSocket = class {
    static { for (const state of ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]) this[state] = Real[state]; }
    constructor(url, ...rest) {
      return String(url) === address ? new Client() : new Driving(url, ...rest);
    }
  };
  await import(pathToFileURL(fileURLToPath(new URL("service-worker.js", folder))).href);
}

/** Client is the connection of Stagehand's client. */
class Client extends EventTarget {
  readyState = 0;

  constructor() {
    super();
    setTimeout(() => { this.readyState = 1; this.dispatchEvent(new Event("open")); });
  }

  async send(text) {
    const { id: number, method, params, sessionId } = JSON.parse(text);
    let answer;
    try {
      answer = { result: await this.answer(method, params ?? {}) };
    } catch (e) {
      answer = { error: { code: -32000, message: String(e.message ?? e) } };
    }
    this.tell({ id: number, sessionId, ...answer });
  }

  async answer(method, params) {
    switch (method) {
      case "Extensions.getExtensions":
        return { extensions: [{ id, name: "Stagehand Runtime", version: "1", path: "", enabled: true }] };
      case "Target.getTargets":
        return { targetInfos: [worker] };
      case "Target.attachToTarget":
        return { sessionId: "worker" };
      case "Target.createTarget":
        return { targetId: client.targetId };
      case "Target.getTargetInfo":
        return { targetInfo: client };
      case "Runtime.addBinding":
        globalThis[params.name] = (payload) => this.tell({ method: "Runtime.bindingCalled", sessionId: "worker",
          params: { name: params.name, payload, executionContextId: 1 } });
        return {};
      case "Runtime.evaluate":
        return { result: { type: "object", value: await (0, eval)(params.expression) } };
    }
    return {};
  }

  tell(message) {
    if (this.readyState === 1) this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  close() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.dispatchEvent(new CloseEvent("close", { code: 1000, reason: "" }));
  }
}
