// Calls one method of the unmodified client: node launcher.js API_URL KEY METHOD [JSON]; the answer as JSON.
const { WakaTimeClient } = require("wakatime-client");

const [url, key, method, argument] = process.argv.slice(2);
const client = new WakaTimeClient(key, url);
client[method](argument === undefined ? undefined : JSON.parse(argument)).then(
  (answer) => process.stdout.write(JSON.stringify(answer)),
  (error) => {
    process.stderr.write(String(error));
    process.exit(1);
  },
);
