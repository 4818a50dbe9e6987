import { render } from "solid-js/web";
render(() => <p>ok</p>, document.getElementById("app")!);
