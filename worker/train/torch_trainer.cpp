// The LibTorch trainer. Exceptions end here.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>
#include <new>
#include <numeric>

#include "worker/data/shuffle.h"
#include "worker/model/model.h"
#include "worker/model/tensors.h"
#include "worker/train/batch_source.h"
#include "worker/train/numeric_profile.h"
#include "worker/train/optimizer.h"
#include "worker/train/schedule.h"
#include "worker/train/trainer.h"
#include "worker/train/trial_layout.h"

namespace modelhop {
namespace {

constexpr std::uint32_t kEvaluationBatchRows = 256;  // fixed, so that a score does not depend on training's batch size

Status out_of_memory() {
  return environment("out of memory: the batch, the model or its state do not fit this worker");
}

// Runs `body`; an exception of torch or of an allocation becomes a Status.
template <class T, class Body>
Result<T> without_exceptions(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const c10::OutOfMemoryError&) {
    return out_of_memory();
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (what.find("can't allocate memory") != std::string::npos) return out_of_memory();
    return Status(Code::kInvalid, "torch refused the model or its data: " + what.substr(0, what.find('\n')));
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("training failed: ") + error.what());
  }
}

Status wrong_layout() { return corrupt("the state was made for another recipe: its layout's hash differs"); }

// One visit: what stays the same from batch to batch.
class Visit {
 public:
  Visit(const VisitRequest& request, StateArena& state, GradientArena& gradients)
      : request_(request),
        training_(request.recipe->training),
        state_(state),
        gradients_(gradients),
        model_(request.recipe->layers, state, &gradients),
        source_(*request.recipe, *request.manifest, *request.data),
        loss_(training_.loss, training_.metrics, request.train_before) {
    std::optional<TrialId> own_order;
    if (training_.shuffle_per_trial) own_order = request.trial;
    order_ =
        shuffled_rows(request.recipe->seed, state.cursor.epoch, request.partition, request.data->rows(), own_order);
    order_.resize(rows_per_visit(training_, request.data->rows()));
    for (const Shard& shard : request.manifest->partitions) samples_per_epoch_ += rows_per_visit(training_, shard.rows);
  }

  Result<VisitResult> run(const UnitControl& control) {
    const std::uint64_t batches = batches_per_visit(training_, request_.data->rows());
    if (batches == 0) return invalid("a partition has fewer rows than a batch, and partial_batch is drop");
    if (state_.cursor.batch >= batches) return corrupt("the state stands behind the last batch of its visit");
    VisitResult result;
    while (true) {
      RETURN_IF_ERROR(step());
      if (++state_.cursor.batch == batches) break;
      if (control.progress) control.progress(state_.cursor);
      if (control.yield_now && control.yield_now()) {
        result.yielded = true;
        break;
      }
    }
    if (!result.yielded) {
      state_.cursor.batch = 0;
      if (++state_.cursor.visit == request_.partitions) {
        state_.cursor.visit = 0;
        ++state_.cursor.epoch;
      }
      if (control.progress) control.progress(state_.cursor);
    }
    result.train = loss_.sums();
    return result;
  }

 private:
  Status step() {
    const std::uint64_t first = state_.cursor.batch * training_.batch_size;
    const std::uint64_t rows = std::min<std::uint64_t>(training_.batch_size, order_.size() - first);
    const BatchSource::Batch batch = source_.gather(std::span(order_).subspan(first, rows));
    const at::Tensor output =
        model_.forward(batch.x, {true, request_.recipe->seed, request_.trial, state_.cursor.step});
    at::Tensor gradient;
    RETURN_IF_ERROR(loss_.add(output, batch.targets, &gradient));
    model_.backward(gradient);
    float factor = 1;
    if (training_.clip_grad_norm)
      factor = clip_factor(gradient_norm(state_.layout(), gradients_), *training_.clip_grad_norm);
    const double rate = learning_rate(training_, state_.cursor.samples, samples_per_epoch_);
    optimizer_step(training_.optimizer, rate, factor, gradients_, state_);
    ++state_.cursor.step;
    state_.cursor.samples += rows;
    return {};
  }

  const VisitRequest& request_;
  const Training& training_;
  StateArena& state_;
  GradientArena& gradients_;
  Model model_;
  BatchSource source_;
  LossFunction loss_;
  std::vector<std::uint32_t> order_;
  std::uint64_t samples_per_epoch_ = 0;
};

class TorchTrainer final : public Trainer {
 public:
  explicit TorchTrainer(unsigned threads) : threads_(static_cast<int>(std::clamp(threads, 1u, 1024u))) {}

  ContentHash numeric_profile() const override {
    enter_thread();
    return torch_numeric_profile(threads_);
  }

  Result<std::shared_ptr<const StateLayout>> layout(const Recipe& recipe, const Manifest&) override {
    return std::make_shared<const StateLayout>(trial_layout(recipe));
  }

  Status initialize(const Recipe& recipe, const Manifest&, TrialId trial, StateArena& state) override {
    if (state.layout().hash != trial_layout(recipe).hash) return wrong_layout();
    std::fill(state.bytes().begin(), state.bytes().end(), std::uint8_t{0});
    initialize_model(recipe, trial, state);
    initialize_moments(recipe.training.optimizer, state);
    state.cursor = {};
    return {};
  }

  Result<VisitResult> train(const VisitRequest& request, StateArena& state, const UnitControl& control) override {
    enter_thread();
    if (state.layout().hash != trial_layout(*request.recipe).hash) return wrong_layout();
    if (state.cursor.visit >= request.partitions)
      return corrupt("the state has made more visits of its epoch than there are");
    if (request.data->rows() > std::numeric_limits<std::uint32_t>::max())
      return invalid("a partition has over 2^32 rows");
    return without_exceptions<VisitResult>([&]() -> Result<VisitResult> {
      const c10::InferenceMode no_graph;
      gradients_.prepare(state.layout());
      return Visit(request, state, gradients_).run(control);
    });
  }

  Result<std::vector<Sum>> evaluate(const Recipe& recipe, const Manifest& manifest, const Partition& data,
                                    StateArena& state, const UnitControl& control) override {
    enter_thread();
    if (state.layout().hash != trial_layout(recipe).hash) return wrong_layout();
    return without_exceptions<std::vector<Sum>>([&]() -> Result<std::vector<Sum>> {
      const c10::InferenceMode no_graph;
      Model model(recipe.layers, state, nullptr);
      BatchSource source(recipe, manifest, data);
      LossFunction loss(recipe.training.loss, recipe.training.metrics);
      std::vector<std::uint32_t> rows;
      for (std::uint64_t first = 0; first < data.rows(); first += kEvaluationBatchRows) {
        rows.resize(std::min<std::uint64_t>(kEvaluationBatchRows, data.rows() - first));
        std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
        const BatchSource::Batch batch = source.gather(rows);
        RETURN_IF_ERROR(loss.add(model.forward(batch.x, {}), batch.targets, nullptr));
        if (control.progress) control.progress(state.cursor);
      }
      return loss.sums();
    });
  }

 private:
  // The number of OpenMP's threads belongs to the calling thread, so each that trains sets it.
  void enter_thread() const { at::set_num_threads(threads_); }

  const int threads_;
  GradientArena gradients_;
};

}  // namespace

std::unique_ptr<Trainer> make_torch_trainer(unsigned threads) { return std::make_unique<TorchTrainer>(threads); }

}  // namespace modelhop
