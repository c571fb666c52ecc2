#include "worker/process/unit_run.h"

#include <exception>
#include <new>
#include <optional>

#include "common/base/time.h"

namespace modelhop {
namespace {

// A Status and where it came from, on its way to becoming a report's fault.
struct Failure {
  Stage stage{};
  Status status;
};

class UnitRun {
 public:
  UnitRun(const UnitContext& context, const RunUnit& run, const UnitStop& stop,
          const std::function<void(const Cursor&)>& progress)
      : context_(context), run_(run), unit_(run.lease.unit), stop_(stop) {
    report_.experiment = unit_.experiment;
    report_.unit = unit_.id;
    report_.token = run.lease.token;
    control_.yield_now = [this] { return stop_.load(std::memory_order_relaxed) != Stop::kNo; };
    control_.progress = progress;
  }

  UnitReport run() {
    if (std::optional<Failure> failure = attempt()) {
      report_.members.clear();
      report_.fault = fault_of(failure->status, failure->stage);
      report_.detail = failure->status.message();
    } else if (stop_.load() == Stop::kDrop) {
      report_.members.clear();
    }
    return std::move(report_);
  }

 private:
  using Outcome = std::optional<Failure>;  // none: all is well

  // The time since the last lap belongs to `bucket`, so that the five sum to the whole.
  void lap(std::uint64_t UnitTimes::*bucket) {
    const Instant now = monotonic_now();
    report_.times.*bucket += static_cast<std::uint64_t>(now - last_);
    last_ = now;
    if (control_.progress && report_.times.train_ns > 0 && state_ != nullptr) control_.progress(state_->cursor);
  }

  Outcome attempt() {
    if (unit_.kind != UnitKind::kTrain || unit_.members.size() != 1 || run_.recipes.size() != 1) {
      return Failure{Stage::kRecipe, invalid("this worker trains one trial a unit")};
    }
    if (Outcome failure = load()) return failure;
    if (Outcome failure = hop()) return failure;
    const StateRef& parent = unit_.members[0].parent;
    if (stop_.load() != Stop::kNo) {  // before the first batch: the parent is the state reached
      report_.members.push_back({parent, true, false, {}, {}});
      if (parent.hash) context_.hop.keep(std::make_shared<KeptState>(parent.hash, std::move(state_)));
      return {};
    }
    MemberResult result;
    if (Outcome failure = train(result)) return failure;
    if (stop_.load() == Stop::kDrop) return {};
    if (unit_.then_evaluate && !result.yielded) {
      if (Outcome failure = evaluate(result)) return failure;
    }
    return publish(std::move(result));
  }

  Outcome load() {
    const DatasetRef dataset{run_.dataset, run_.dataset_identity};
    Result<std::shared_ptr<const Manifest>> manifest = context_.cache.manifest(dataset);
    if (!manifest.ok()) return Failure{Stage::kData, manifest.status()};
    manifest_ = *manifest;
    if (run_.partitions != manifest_->partitions.size() || unit_.partition.value >= run_.partitions) {
      return Failure{Stage::kData,
                     corrupt("data set " + run_.dataset + ": has " + std::to_string(manifest_->partitions.size()) +
                             " partitions, the unit names " + std::to_string(unit_.partition.value) + " of " +
                             std::to_string(run_.partitions))};
    }
    Result<Recipe> recipe = parse_recipe(run_.recipes[0], *manifest_);
    if (!recipe.ok()) return Failure{Stage::kRecipe, recipe.status()};
    recipe_ = std::move(*recipe);
    Result<std::shared_ptr<const StateLayout>> layout = context_.trainer.layout(*recipe_, *manifest_);
    if (!layout.ok()) return Failure{Stage::kRecipe, layout.status()};
    layout_ = *layout;
    Result<std::shared_ptr<const Partition>> partition = context_.cache.get(dataset, unit_.partition);
    if (!partition.ok()) return Failure{Stage::kData, partition.status()};
    partition_ = *partition;
    lap(&UnitTimes::load_ns);
    return {};
  }

  Outcome hop() {
    const StateRef& parent = unit_.members[0].parent;
    if (!parent.hash) {
      report_.path = HopPath::kInitial;
      state_ = std::make_unique<StateArena>(layout_);
      const Status made = context_.trainer.initialize(*recipe_, *manifest_, unit_.members[0].trial, *state_);
      if (!made.ok()) return Failure{Stage::kTraining, made};
    } else {
      Result<Hop::Fetched> fetched = context_.hop.fetch(parent, layout_, {run_.cluster, run_.partitions});
      if (!fetched.ok()) return Failure{Stage::kState, fetched.status()};
      report_.path = fetched->path;
      state_ = std::move(fetched->state);
    }
    lap(&UnitTimes::hop_ns);
    return {};
  }

  Outcome train(MemberResult& result) {
    const Member& member = unit_.members[0];
    const VisitRequest request{member.trial,    unit_.partition,  run_.partitions, &*recipe_,
                               manifest_.get(), partition_.get(), member.train};
    Result<VisitResult> visit = context_.trainer.train(request, *state_, control_);
    if (!visit.ok()) return Failure{Stage::kTraining, visit.status()};
    result.yielded = visit->yielded;
    result.train = std::move(visit->train);
    lap(&UnitTimes::train_ns);
    return {};
  }

  Outcome evaluate(MemberResult& result) {
    if (!manifest_->validation) return {};  // a spec that wants a val_* metric of such a data set is refused at submit
    Result<std::shared_ptr<const Partition>> data = context_.cache.validation({run_.dataset, run_.dataset_identity});
    if (!data.ok()) return Failure{Stage::kData, data.status()};
    lap(&UnitTimes::load_ns);
    Result<std::vector<Sum>> sums = context_.trainer.evaluate(*recipe_, *manifest_, **data, *state_, control_);
    if (!sums.ok()) return Failure{Stage::kTraining, sums.status()};
    result.validation = std::move(*sums);
    lap(&UnitTimes::evaluate_ns);
    return {};
  }

  // What a decision will rest on is in the store before it is reported; the rest is reported while it is being saved.
  Outcome publish(MemberResult result) {
    const Member& member = unit_.members[0];
    const StateNaming naming{run_.cluster, run_.partitions};
    StateRef named;
    named.experiment = unit_.experiment;
    named.trial = member.trial;
    named.lineage = member.lineage;
    const StateRef ref = Hop::name(named, *state_);
    const auto kept = std::make_shared<KeptState>(ref.hash, std::move(state_));
    result.state = ref;
    const bool first = unit_.then_evaluate || result.yielded;
    result.durable = first || !context_.saver.save(report_.token, ref, naming, kept);
    if (result.durable) {
      const Status stored = context_.hop.store(ref, *kept->arena, naming);
      if (!stored.ok()) return Failure{Stage::kState, stored};
    }
    context_.hop.keep(kept);
    report_.members.push_back(std::move(result));
    lap(&UnitTimes::save_ns);
    return {};
  }

  const UnitContext& context_;
  const RunUnit& run_;
  const Unit& unit_;
  const UnitStop& stop_;
  UnitControl control_;
  UnitReport report_;
  Instant last_ = monotonic_now();
  std::shared_ptr<const Manifest> manifest_;
  std::optional<Recipe> recipe_;
  std::shared_ptr<const StateLayout> layout_;
  std::shared_ptr<const Partition> partition_;
  std::unique_ptr<StateArena> state_;
};

UnitReport failed(const RunUnit& run, Fault fault, std::string detail) {
  UnitReport report;
  report.experiment = run.lease.unit.experiment;
  report.unit = run.lease.unit.id;
  report.token = run.lease.token;
  report.fault = fault;
  report.detail = std::move(detail);
  return report;
}

}  // namespace

UnitReport run_unit(const UnitContext& context, const RunUnit& run, const UnitStop& stop,
                    const std::function<void(const Cursor&)>& progress) {
  try {
    return UnitRun(context, run, stop, progress).run();
  } catch (const std::bad_alloc&) {
    return failed(run, Fault::kOutOfMemory, "out of memory: the model, its state or its data do not fit this worker");
  } catch (const std::exception& error) {
    return failed(run, Fault::kUserCode, error.what());
  }
}

Fault fault_of(const Status& status, Stage stage) {
  switch (status.code()) {
    case Code::kOk:
      return Fault::kNone;
    case Code::kInvalid:
      return stage == Stage::kData ? Fault::kData : Fault::kInvalidParams;
    case Code::kCorrupt:
      return stage == Stage::kData ? Fault::kData : Fault::kHashMismatch;
    case Code::kNotFound:
    case Code::kConflict:
      return stage == Stage::kState ? Fault::kHashMismatch : Fault::kData;
    case Code::kEnvironment:
      return status.message().starts_with("out of memory") ? Fault::kOutOfMemory : Fault::kEnvironment;
    case Code::kUnreachable:
    case Code::kTimeout:
      return Fault::kEnvironment;
    case Code::kInternal:
      return Fault::kUserCode;
  }
  return Fault::kUserCode;
}

}  // namespace modelhop
