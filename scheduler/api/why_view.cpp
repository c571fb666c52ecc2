// Plain sentences: why it is, or is not, going on.
#include <fmt/format.h>

#include <map>

#include "scheduler/api/find.h"
#include "scheduler/api/progress.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

std::string count(std::uint64_t n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string explain(Cause cause) {
  switch (cause) {
    case Cause::kConflict:
      return "every waiting trial's next partition is on another worker";
    case Cause::kSearch:
      return "the search has no trial to run before another result arrives";
    case Cause::kLimit:
      return "max_concurrent_trials, the disk reserve or another limit is reached";
    case Cause::kPaused:
      return "what could run is paused or being stopped";
    case Cause::kProfile:
      return "its numeric profile differs from the one this experiment started with, so its bits would differ";
    case Cause::kTail:
      return "fewer trials are left than there are slots";
    case Cause::kSave:
      return "the states that waiting trials go on from are being saved to the store";
    case Cause::kFailure:
      return "what could run waits after a fault";
    case Cause::kTrain:
    case Cause::kEvaluate:
    case Cause::kHop:
    case Cause::kLoad:
      return "it is busy";
  }
  return "unknown";
}

void say_state(const ViewContext& context, const ExperimentRow& experiment, const ExperimentProgress& progress,
               Json& out) {
  const auto in = [&](TrialState state) { return progress.trials[static_cast<std::size_t>(state)]; };
  const std::string id = to_string(experiment.id);
  const std::string because = experiment.reason.empty() ? "" : ": " + experiment.reason;
  const bool waits = !context.api.served && !experiment.ended();
  out.push_back(fmt::format("{} is {}{}.", id, waits ? "WAITING" : to_string(experiment.state), because));
  const std::uint64_t running = waits ? 0 : in(TrialState::kRunning);
  out.push_back(fmt::format(
      "Of {}, {} completed, {} run, {} wait, {} stopped early, {} failed; {} of {} visits are done.",
      count(progress.trials_planned, "trial", "trials"), in(TrialState::kCompleted), running,
      in(TrialState::kPending) + in(TrialState::kRunning)-running + progress.trials_planned - experiment.trials.size(),
      in(TrialState::kStopped) + in(TrialState::kCanceled), in(TrialState::kFailed) + in(TrialState::kInvalid),
      progress.visits_done, progress.visits_planned));
  if (waits) {
    out.push_back(
        "No scheduler works on it: `modelhop run SPEC` with the same spec, or `modelhop scheduler`, goes on.");
  } else if (!context.api.live && !experiment.ended()) {
    out.push_back("This was read from the directory of a scheduler at work; asked by --server, it says more.");
  }
}

void say_failures(const ExperimentRow& experiment, const ExperimentProgress& progress, Json& out) {
  std::map<std::string, std::uint64_t> reasons;
  for (const TrialRow& trial : experiment.trials) {
    if (trial.state == TrialState::kFailed || trial.state == TrialState::kInvalid) ++reasons[trial.reason];
  }
  for (const auto& [reason, trials] : reasons) {
    out.push_back(fmt::format("{} failed: {}", count(trials, "trial", "trials"), reason));
  }
  for (const auto& [fault, times] : progress.faults) {
    if (fault == to_string(Fault::kInvalidParams)) continue;  // its trial ended with it, as said above
    out.push_back(fmt::format(
        "{} ended without a result ({}); each is run again; only a trial's own faults use up its restarts.",
        count(times, "unit", "units"), fault == to_string(Fault::kNone) ? "its worker or scheduler stopped" : fault));
  }
}

void say_workers(const ViewContext& context, const ExperimentRow& experiment, Json& out) {
  const State& state = context.state();
  std::uint64_t connected = 0;
  std::map<std::string, std::uint64_t> idle;
  for (const auto& slot : context.core.slots(context.api.now)) {
    if (!slot.connected) continue;
    ++connected;
    if (!slot.unit) ++idle[explain(slot.cause)];
  }
  if (connected == 0) {
    out.push_back("No worker is connected: start one with `modelhop-worker --scheduler ADDR`.");
  }
  if (!context.core.disk_full().empty()) {
    out.push_back("No new unit is leased, " + context.core.disk_full() + "; it goes on by itself when there is room.");
  }
  for (const auto& [why, slots] : idle) {
    out.push_back(fmt::format("{} of {} idle: {}.", slots, count(connected, "slot is", "slots are"), why));
  }
  const auto dataset = state.datasets.find(experiment.dataset);
  if (dataset == state.datasets.end()) return;
  std::uint64_t homeless = 0;
  for (const auto& holders : dataset->second.holders) homeless += holders.empty() ? 1 : 0;
  if (homeless > 0) {
    out.push_back(fmt::format("{} of data set {} on no worker; the scheduler places them when workers are there.",
                              count(homeless, "partition is", "partitions are"), experiment.dataset));
  }
}

}  // namespace

Json why_view(const ViewContext& context, const ExperimentRow& experiment) {
  const ExperimentProgress progress = progress_of(context.core, context.api, experiment);
  Json sentences = Json::array();
  say_state(context, experiment, progress, sentences);
  say_failures(experiment, progress, sentences);
  if (context.api.live && !experiment.ended()) say_workers(context, experiment, sentences);
  if (progress.gap && *progress.gap > 0) {
    sentences.push_back(fmt::format(
        "{} {:.1f} s; with every slot as busy as the busiest worker it would be {:.1f} s "
        "(gap to the bound {:.1f} %).",
        experiment.ended() ? "It took" : "So far it took", progress.elapsed_s, progress.bound_s, *progress.gap * 100));
  }
  return {{"experiment", to_string(experiment.id)}, {"why", sentences}};
}

}  // namespace modelhop
