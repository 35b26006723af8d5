// What the browser does by itself: it notices when nothing comes any more.
(() => {
  const STALE_S = 1.5;
  let silent_s = 0;
  let state = "";
  let beaten = performance.now();
  window.rtdecode = {
    // Called by the dashboard four times a second.
    beat(serviceSilent_s, runState) {
      silent_s = serviceSilent_s;
      state = runState;
      beaten = performance.now();
      judge();
    },
  };
  function judge() {
    const banner = document.getElementById("stale");
    if (!banner) return;
    const away_s = (performance.now() - beaten) / 1000;
    const total_s = silent_s + away_s;
    const stale = total_s > STALE_S;
    const over = state === "ended";
    document.body.classList.toggle("stale", stale);
    document.body.classList.toggle("over", stale && over);
    banner.hidden = !stale;
    document.body.dataset.silent = total_s.toFixed(1);
    if (!stale) return;
    const who = away_s > STALE_S ? "the dashboard" : "the service";
    const text = `STALE: nothing from ${who} for ${total_s.toFixed(0)} s`;
    const shown = over ? `${text}. The run had ended.` : text;
    if (banner.textContent !== shown) banner.textContent = shown;
  }
  setInterval(judge, 100);
})();
