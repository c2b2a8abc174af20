// Starts the episode that the address names, with its seed and without a limit of
// time, and tells the server what is asked for and how it ended.
window.addEventListener('load', function () {
  var options = new URLSearchParams(location.search);
  var report = function (outcome) {
    navigator.sendBeacon('/episodes/' + options.get('episode'), JSON.stringify(outcome));
  };
  core.hideDisplay();
  core.EPISODE_MAX_TIME = 24 * 3600 * 1000;
  var end = core.endEpisode;
  core.endEpisode = function (reward, proportional, reason) {
    var first = core.EP_TIMER !== null;
    end.apply(core, arguments);
    if (first) report({ done: true, reward: reward, reason: String(reason || '') });
  };
  Math.seedrandom(options.get('seed'));
  core.startEpisodeReal();
  var ready = setInterval(function () {
    if (!WOB_TASK_READY) return;
    clearInterval(ready);
    var asked = core.getUtterance();
    report({ utterance: asked.utterance || asked });
  }, 20);
});
