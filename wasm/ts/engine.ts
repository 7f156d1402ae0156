/** Loads the engine's module, once a thread. */

import init, { documentsIn, EngineHost, identityIn, initSync, journalArea, restored, takePanic, withoutIdentity } from "../pkg/driftline.js";
import { nodeFiles } from "./node.js";

export { documentsIn, EngineHost, identityIn, journalArea, restored, takePanic, withoutIdentity };
export type { Driver, Restored } from "../pkg/driftline.js";

/** Where the module is, or itself. */
export type WasmSource = string | Uint8Array | WebAssembly.Module | undefined;

let loading: Promise<unknown> | undefined;

/** Loads the module. Where it is already, nothing is loaded again, whatever the source. */
export function loadEngine(source: WasmSource): Promise<unknown> {
  loading ??= load(source).catch((error: unknown) => {
    loading = undefined;
    throw new Error(`the engine's module cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  });
  return loading;
}

async function load(source: WasmSource): Promise<unknown> {
  if (source instanceof WebAssembly.Module) return initSync({ module: source });
  if (source instanceof Uint8Array) return init({ module_or_path: source as BufferSource });
  if (source === undefined && !import.meta.url.startsWith("file:")) return init();
  const address = source ?? new URL("../pkg/driftline_bg.wasm", import.meta.url).href;
  if (!address.startsWith("file:")) return init({ module_or_path: address });
  const files = await nodeFiles();
  return init({ module_or_path: files.readFileSync(new URL(address)) as BufferSource });
}
