import { render } from "preact";
import { App } from "./app";
import { resume } from "./session";
import { applyTheme } from "./theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/components.css";
import "./styles/forms.css";
import "./styles/shell.css";

applyTheme();
const root = document.getElementById("app");
if (root === null) throw new Error("index.html has no element #app");
await resume();
render(<App />, root);
