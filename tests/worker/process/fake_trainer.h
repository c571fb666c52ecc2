#pragma once
// FakeTrainer: a torch-free trainer whose arithmetic is exact and order-dependent, so that a batch run twice, left out
// or out of order changes the state's hash. Everything above trainer.h is tested with it.
#include <chrono>
#include <cstring>
#include <thread>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/rng.h"
#include "worker/data/shuffle.h"
#include "worker/train/trainer.h"

namespace modelhop {

class FakeTrainer final : public Trainer {
 public:
  explicit FakeTrainer(std::chrono::microseconds batch) : batch_(batch) {}

  ContentHash numeric_profile() const override { return hash_bytes("fake"); }

  Result<std::shared_ptr<const StateLayout>> layout(const Recipe&, const Manifest&) override {
    return std::make_shared<const StateLayout>(
        StateLayout::make({{.name = "weight", .section = Section::kParameters, .dtype = DType::kI64, .sizes = {kWords}},
                           {.name = "moment", .section = Section::kMoments, .dtype = DType::kI64, .sizes = {kWords}}}));
  }

  Status initialize(const Recipe& recipe, const Manifest&, TrialId trial, StateArena& state) override {
    KeyedRng rng(recipe.seed, Purpose::kInitialize, trial.value);
    for (int i = 0; i < kWords; ++i) word(state, 0, i) = rng.next_u64();
    state.cursor = {};
    return {};
  }

  Result<VisitResult> train(const VisitRequest& request, StateArena& state, const UnitControl& control) override {
    const Training& training = request.recipe->training;
    const std::uint64_t batches = batches_per_visit(training, request.data->rows());
    if (state.cursor.batch >= batches) return corrupt("the state stands behind its visit");
    const auto order =
        shuffled_rows(request.recipe->seed, state.cursor.epoch, request.partition, request.data->rows(), std::nullopt);
    const std::size_t row_bytes = request.data->x().size() / request.data->rows();
    std::uint64_t rate = 0;
    std::memcpy(&rate, &training.optimizer.lr, sizeof rate);
    VisitResult result;
    Sum loss{"loss", 0, 0};
    for (const Sum& before : request.train_before) {
      if (before.name == "loss") loss = before;
    }
    for (;;) {
      const std::uint64_t first = state.cursor.batch * training.batch_size;
      const std::uint64_t rows = std::min<std::uint64_t>(training.batch_size, order.size() - first);
      for (std::uint64_t r = first; r < first + rows; ++r) {
        std::uint64_t pixel = 0;
        std::memcpy(&pixel, request.data->x().data() + order[r] * row_bytes, std::min(sizeof pixel, row_bytes));
        std::uint64_t& weight = word(state, 0, static_cast<int>(r % kWords));
        std::uint64_t& moment = word(state, 1, static_cast<int>((r + state.cursor.step) % kWords));
        moment = moment * 31 + (weight ^ pixel);
        weight = weight * 6364136223846793005ull + moment + rate;
      }
      std::this_thread::sleep_for(batch_);
      loss.total += score(state) * static_cast<double>(rows);
      loss.weight += rows;
      ++state.cursor.step;
      state.cursor.samples += rows;
      if (++state.cursor.batch == batches) break;
      if (control.progress) control.progress(state.cursor);
      if (!control.yield_now || !control.yield_now()) continue;
      result.yielded = true;
      break;
    }
    if (!result.yielded) {
      state.cursor.batch = 0;
      if (++state.cursor.visit == request.partitions) {
        state.cursor.visit = 0;
        ++state.cursor.epoch;
      }
    }
    result.train = sums(training, loss);
    return result;
  }

  Result<std::vector<Sum>> evaluate(const Recipe& recipe, const Manifest&, const Partition& data, StateArena& state,
                                    const UnitControl&) override {
    const auto rows = static_cast<double>(data.rows());
    return sums(recipe.training, {"loss", score(state) * rows, data.rows()});
  }

 private:
  static constexpr int kWords = 64;

  static std::uint64_t& word(StateArena& state, std::size_t tensor, int index) {
    return reinterpret_cast<std::uint64_t*>(state.tensor(tensor))[index];
  }
  // In [0, 1). Sums of it are not exact, so a total that depends on where a unit stopped shows.
  static double score(StateArena& state) {
    std::uint64_t mixed = 0;
    for (int i = 0; i < kWords; ++i) mixed = mixed * 1099511628211ull + word(state, 0, i);
    return static_cast<double>(mixed >> 11) * 0x1.0p-53;
  }
  static std::vector<Sum> sums(const Training& training, const Sum& loss) {
    std::vector<Sum> out;
    for (const MetricName metric : training.metrics) out.push_back({to_string(metric), loss.total, loss.weight});
    return out;
  }

  const std::chrono::microseconds batch_;
};

}  // namespace modelhop
