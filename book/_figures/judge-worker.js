// Python beside the page: it loads once, then judges each text that it is sent.
importScripts("../pyodide/pyodide.js");

const ready = (async () => {
  const python = await loadPyodide({ indexURL: new URL("../pyodide/", location.href).href });
  const source = await fetch("judge.py");
  python.runPython(await source.text());
  postMessage({ ready: true });
  return python.globals.get("judge");
})();

onmessage = async ({ data }) => {
  const judge = await ready;
  postMessage(JSON.parse(judge(data)));
};
