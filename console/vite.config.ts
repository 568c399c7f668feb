import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The bundle is committed in the Python package, so that a server needs no Node.js.
const bundle = fileURLToPath(new URL("../pdp/console/dist", import.meta.url));

export default defineConfig({
  base: "/console/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: bundle,
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows no inline content.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of the libraries in the bundle go with it.
    license: { fileName: "licenses.txt" },
  },
  server: {
    // `npm run dev` beside `make run`: the server refuses foreign origins, so Origin is removed.
    proxy: Object.fromEntries(
      ["/v1", "/api", "/policies", "/openapi.json", "/metrics", "/readyz"].map((path) => [
        path,
        {
          target: process.env["PDP_SERVER_URL"] ?? "http://127.0.0.1:8080",
          configure: (proxy) => proxy.on("proxyReq", (request) => request.removeHeader("origin")),
        },
      ]),
    ),
  },
});
