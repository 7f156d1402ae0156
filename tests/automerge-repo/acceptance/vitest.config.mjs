/** How automerge-repo's own acceptance tests are run: by the runner they are written for. */

import { defineConfig } from "vitest/config";
import { NOT_OF_A_SERVER } from "./not-of-a-server.mjs";

export default defineConfig({
  test: {
    include: ["acceptance/*.spec.mjs"],
    // Anything that this does not match is shown as skipped.
    testNamePattern: new RegExp(`^(?!.*(${Object.keys(NOT_OF_A_SERVER).join("|")})).*$`),
    // Only a failure takes so long.
    testTimeout: 20_000,
    watch: false,
  },
});
