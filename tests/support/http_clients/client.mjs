// Posts the bodies with fetch, and with http.request with and without an offer of h2c, each with
// its length and in chunks, and prints the responses.
import http from "node:http";

const [url, ...bodies] = process.argv.slice(2);
const JSON_TYPE = { "Content-Type": "application/json" };
const UPGRADE = {
  Connection: "Upgrade, HTTP2-Settings",
  Upgrade: "h2c",
  "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA",
};

function post(body, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers: { ...JSON_TYPE, ...headers } });
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      console.log(response.statusCode, text);
      resolve();
    });
    request.end(body);
  });
}

for (const body of bodies) {
  const length = { "Content-Length": Buffer.byteLength(body) };
  const chunks = { "Transfer-Encoding": "chunked" };
  const response = await fetch(url, { method: "POST", headers: JSON_TYPE, body });
  console.log(response.status, await response.text());
  for (const headers of [length, chunks]) {
    await post(body, headers);
    await post(body, { ...headers, ...UPGRADE });
  }
}
