#include "worker/train/jobs.h"

#include <filesystem>
#include <fstream>

#include "common/base/visit_order.h"
#include "common/state/state_file.h"
#include "worker/data/dataset.h"

namespace modelhop {
namespace {

Result<std::vector<std::uint8_t>> read_state_file(const std::string& path) {
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) return not_found("cannot read the state '" + path + "': " + error.message());
  if (size > kStateBytesMax) return corrupt("the state '" + path + "' is larger than any state may be");
  std::vector<std::uint8_t> bytes(size);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    return environment("cannot read the state '" + path + "' to its end");
  }
  return bytes;
}

}  // namespace

Result<JobData> JobData::open(const std::string& store, const std::string& dataset) {
  JobData data;
  ASSIGN_OR_RETURN(Manifest manifest, read_dataset(store, dataset));
  ASSIGN_OR_RETURN(data.folder_, dataset_folder(store, dataset));
  data.manifest_ = std::make_shared<const Manifest>(std::move(manifest));
  return data;
}

Result<std::shared_ptr<const Partition>> JobData::partition(PartitionIndex index) {
  if (index.value >= manifest_->partitions.size()) return invalid("the data set has no such partition");
  return load(manifest_->partitions[index.value]);
}

Result<std::shared_ptr<const Partition>> JobData::validation() {
  if (!manifest_->validation) return not_found("data set '" + manifest_->name + "' has no validation set");
  return load(*manifest_->validation);
}

Result<std::shared_ptr<const Partition>> JobData::test() {
  if (!manifest_->test) return not_found("data set '" + manifest_->name + "' has no test set; import it with --test");
  return load(*manifest_->test);
}

Result<std::shared_ptr<const Partition>> JobData::load(const Shard& shard) {
  if (const auto found = resident_.find(shard.file); found != resident_.end()) return found->second;
  ASSIGN_OR_RETURN(std::shared_ptr<const Partition> loaded,
                   load_partition(folder_ + "/" + shard.file, shard, *manifest_));
  if (resident_bytes_ + loaded->size_bytes() > kJobDataBytesMax) {
    resident_.clear();
    resident_bytes_ = 0;
  }
  resident_[shard.file] = loaded;
  resident_bytes_ += loaded->size_bytes();
  return loaded;
}

Status retrain(Trainer& trainer, JobData& data, const Retrain& request, bool evaluate,
               const std::function<void(const RetrainedState&)>& tell) {
  const Manifest& manifest = data.manifest();
  const auto partitions = static_cast<std::uint32_t>(manifest.partitions.size());
  const bool forked = !request.before.empty();
  const Recipe& first = forked ? request.before.front().recipe : *request.recipe;
  ASSIGN_OR_RETURN(const std::shared_ptr<const StateLayout> layout, trainer.layout(first, manifest));
  StateArena state(layout);
  RETURN_IF_ERROR(trainer.initialize(first, manifest, forked ? request.before.front().trial : request.trial, state));
  std::uint64_t done = 0;
  const auto train_one = [&](TrialId trial, std::uint32_t offset, const Recipe& recipe) -> Result<VisitResult> {
    const PartitionIndex partition = partition_of_visit(offset, done, partitions);
    ASSIGN_OR_RETURN(const std::shared_ptr<const Partition> rows, data.partition(partition));
    ++done;
    return trainer.train({trial, partition, partitions, &recipe, &manifest, rows.get(), {}}, state, {});
  };
  for (const RetrainBefore& source : request.before) {
    while (done < source.until) RETURN_IF_ERROR(train_one(source.trial, source.offset, source.recipe).status());
  }
  for (const std::uint64_t stop : request.visits) {
    RetrainedState reached{stop, {}, {}, {}};
    while (done < stop) {
      ASSIGN_OR_RETURN(VisitResult result, train_one(request.trial, request.offset, *request.recipe));
      reached.train = std::move(result.train);
    }
    reached.hash = state_hash(state);
    if (evaluate && manifest.validation) {
      ASSIGN_OR_RETURN(const std::shared_ptr<const Partition> rows, data.validation());
      ASSIGN_OR_RETURN(reached.validation, trainer.evaluate(*request.recipe, manifest, *rows, state, {}));
    }
    tell(reached);
  }
  return {};
}

Result<std::vector<Sum>> score(Trainer& trainer, JobData& data, const Recipe& recipe, const std::string& state_path,
                               const Partition& rows) {
  ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes, read_state_file(state_path));
  ASSIGN_OR_RETURN(std::shared_ptr<const StateLayout> layout, trainer.layout(recipe, data.manifest()));
  Result<DecodedState> decoded = decode_state(bytes, std::move(layout));
  if (!decoded.ok()) return Status(decoded.status().code(), "'" + state_path + "': " + decoded.status().message());
  return trainer.evaluate(recipe, data.manifest(), rows, *decoded->state, {});
}

}  // namespace modelhop
