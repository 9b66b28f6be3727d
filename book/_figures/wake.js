// Wakes the figures of a page: each loads its script when it comes near the screen.
(() => {
  const { src, dataset } = document.currentScript;
  const folder = src.replace(/[^/]*$/, "");
  const loading = {};
  // By script tags, since a page that was opened from a folder may fetch nothing and import nothing.
  window.computed = {
    given: {},
    folder,
    python: "python" in dataset, // whether the site has Python
    load(name) {
      loading[name] ??= new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${folder}${name}.js`;
        script.onload = () => resolve(window.computed.given[name]);
        script.onerror = () => reject(new Error(`${script.src} does not load`));
        document.head.append(script);
      });
      return loading[name];
    },
  };

  const wake = async (twin) => {
    const name = [...twin.classList].find((one) => one.startsWith("computed-")).slice(9);
    const draw = await window.computed.load(name);
    const live = document.createElement("div");
    live.className = "computed-live";
    if (draw(live, twin) === false) return; // it cannot run here: the twin stays
    twin.prepend(live);
    twin.classList.add("computed-awake");
  };

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        wake(target);
      }
    },
    { rootMargin: "50%" },
  );
  const watch = () =>
    document.querySelectorAll("[class*='computed-']").forEach((twin) => near.observe(twin));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", watch);
  else watch();
})();
