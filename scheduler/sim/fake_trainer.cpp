#include "scheduler/sim/fake_trainer.h"

namespace modelhop::sim {
namespace {

std::uint64_t get(const ContentHash& hash, std::size_t from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= std::uint64_t{hash.bytes[from + i]} << (8 * i);
  return value;
}

void put(ContentHash& hash, std::size_t from, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) hash.bytes[from + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

std::uint64_t low_lane(const ContentHash& hash) { return get(hash, 0); }

std::uint64_t store_key(const StateRef& state) { return low_lane(state.hash) + state.lineage; }

void train(StateRef& state, PartitionIndex partition, const Plan& plan, std::uint32_t until, Sum& loss,
           const std::string& recipe) {
  std::uint64_t a = get(state.hash, 0), b = get(state.hash, 8);
  if (!state.hash) a = mix(state.experiment.value * 1'000'003 + state.trial.value);
  std::uint64_t salt = 0;
  for (const char c : recipe) salt = mix(salt + static_cast<unsigned char>(c));
  const std::uint64_t visit = std::uint64_t{state.at.epoch} * plan.partitions + state.at.visit;
  for (; state.at.batch < until; ++state.at.batch) {
    const std::uint64_t what = ((state.trial.value * 4'099 + visit) * 4'099 + partition.value) * 4'099 + state.at.batch;
    a = mix(a ^ what ^ salt);
    b = mix(b + a);
    ++state.at.step;
    state.at.samples += 10;
    loss.total += static_cast<double>(a >> 11) * 0x1.0p-53;  // not exact: a total that depends on a yield shows
    loss.weight += 10;
  }
  put(state.hash, 0, a);
  put(state.hash, 8, b);
  state.layout.bytes[0] = 1;
  state.size_bytes = 4096;
  if (state.at.batch < plan.batches[partition.value]) return;
  state.at.batch = 0;
  if (++state.at.visit < plan.partitions) return;
  state.at.visit = 0;
  ++state.at.epoch;
}

std::vector<Sum> validate(const StateRef& state) {
  return {{"loss", static_cast<double>(low_lane(state.hash) >> 52), 100}};
}

}  // namespace modelhop::sim
