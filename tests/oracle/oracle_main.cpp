// Our side of tests/oracle/oracle.py: does one request a JSON line and answers with one. Tensors pass through files of
// raw little-endian values.
//
//   {"do":"open","recipe":{...},"data":{"x_shape":[..],"x_dtype":"float32","y_shape":[..],"y_dtype":..,"classes":C,
//    "rows":[..],"x":[FILE..],"y":[FILE..]},"trial":3}       a file a partition, the validation set last
//   {"do":"open","recipe":{...},"import":{"name":..,"path":FOLDER,"store":FOLDER,"partitions":P,"validation_rows":V}}
//                                                            both -> {"tensors":[..],"bytes":N}
//   {"do":"dump","partition":K|null,"x":F,"y":F}             a partition's bytes; null = the validation set
//   {"do":"load","arena":FILE} | {"do":"save","arena":FILE}
//   {"do":"gradient","rows":N,"out":F,"dx":F,"gradients":F}   of the first N rows of partition 0, in order ->
//   {"loss":..}
//   {"do":"optimize","gradients":FILE,"steps":N}              each step's gradients in arena order, without pads
//   {"do":"rates","samples":[..],"samples_per_epoch":N}       -> {"rates":[..]}
//   {"do":"order","epoch":E,"partition":K}                    -> {"rows":[..]}
//   {"do":"train","partition":K,"batches":N}                  N batches, or to the visit's end -> {"losses":[..]}
//   {"do":"evaluate","partition":K|null}                           -> {"loss":..,"accuracy":..}
#include <c10/core/InferenceMode.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "worker/data/dataset.h"
#include "worker/data/shuffle.h"
#include "worker/model/model.h"
#include "worker/train/batch_source.h"
#include "worker/train/jobs.h"
#include "worker/train/optimizer.h"
#include "worker/train/schedule.h"
#include "worker/train/trainer.h"

namespace modelhop {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "oracle: " << why << "\n";
  std::exit(1);
}

template <class T>
T take(Result<T> result) {
  if (!result.ok()) fail(result.status().message());
  return std::move(result).value();
}
void expect(const Status& status) {
  if (!status.ok()) fail(status.message());
}

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const void* data, std::size_t size) {
  std::ofstream file(path, std::ios::binary);
  if (!file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size))) fail("cannot write " + path);
}

void write_tensor(const std::string& path, const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  write_bytes(path, flat.const_data_ptr<float>(), static_cast<std::size_t>(flat.numel()) * sizeof(float));
}

class Session {
 public:
  explicit Session(const Json& request) : trial_{request.value("trial", std::uint64_t{1})} {
    if (request.contains("import")) {
      import_npy(request["import"]);
    } else {
      take_raw(request["data"]);
    }
    recipe_ = take(parse_recipe(request["recipe"].dump(), manifest_));
    trainer_ = make_torch_trainer(1);
    state_ = std::make_unique<StateArena>(take(trainer_->layout(recipe_, manifest_)));
    expect(trainer_->initialize(recipe_, manifest_, trial_, *state_));
  }

  Json answer(const Json& request) {
    const std::string what = request["do"];
    if (what == "open") return tensors();
    if (what == "load") return load(request["arena"]);
    if (what == "dump") return dump(request);
    if (what == "save") return save(request["arena"]);
    if (what == "gradient") return gradient(request);
    if (what == "optimize") return optimize(request);
    if (what == "rates") return rates(request);
    if (what == "order") {
      const std::uint32_t partition = request["partition"];
      return {{"rows", shuffled_rows(recipe_.seed, request["epoch"], {partition}, partitions_[partition]->rows(), {})}};
    }
    if (what == "train") return train(request);
    if (what == "evaluate") return evaluate(request);
    fail("no such request: " + what);
  }

 private:
  void take_raw(const Json& data) {
    DType x{}, y{};
    if (!parse(data["x_dtype"].get<std::string>(), x) || !parse(data["y_dtype"].get<std::string>(), y)) fail("dtype");
    manifest_.name = "oracle";
    manifest_.columns = {{"x", x, data["x_shape"]}, {"y", y, data["y_shape"]}};
    manifest_.classes = data["classes"];
    manifest_.target = manifest_.classes > 0 ? TargetKind::kClasses : TargetKind::kValues;
    manifest_.shuffled = true;
    for (std::size_t i = 0; i < data["rows"].size(); ++i) {
      Shard shard;
      shard.file = "train-" + std::to_string(i) + ".h5";
      shard.rows = data["rows"][i];
      partitions_.push_back(
          std::make_shared<const Partition>(shard.rows, read_bytes(data["x"][i]), read_bytes(data["y"][i])));
      manifest_.partitions.push_back(shard);
    }
    // The last one is the validation set.
    manifest_.validation = manifest_.partitions.back();
    manifest_.partitions.pop_back();
    validation_ = partitions_.back();
    partitions_.pop_back();
  }

  void import_npy(const Json& from) {
    const std::string store = from["store"];
    ImportRequest request;
    request.name = from["name"];
    request.from = ImportFrom::kNpy;
    request.paths = {from["path"]};
    request.partitions = from["partitions"];
    request.validation_rows = from["validation_rows"].get<std::uint64_t>();
    take(import_dataset(store, request));
    JobData data = take(JobData::open(store, request.name));
    manifest_ = data.manifest();
    for (std::uint32_t i = 0; i < request.partitions; ++i) partitions_.push_back(take(data.partition({i})));
    validation_ = take(data.validation());
  }

  const Partition& rows_of(const Json& partition) const {
    return partition.is_null() ? *validation_ : *partitions_[partition.get<std::size_t>()];
  }

  Json dump(const Json& request) const {
    const Partition& rows = rows_of(request["partition"]);
    write_bytes(request["x"], rows.x().data(), rows.x().size());
    write_bytes(request["y"], rows.y().data(), rows.y().size());
    return {{"rows", rows.rows()}};
  }

  Json tensors() const {
    Json list = Json::array();
    for (const TensorSpec& spec : state_->layout().tensors) {
      const char* sections[] = {"parameter", "buffer", "moment"};
      list.push_back({{"name", spec.name},
                      {"section", sections[static_cast<int>(spec.section)]},
                      {"dtype", to_string(spec.dtype)},
                      {"sizes", spec.sizes},
                      {"offset", spec.offset_bytes},
                      {"size", spec.size_bytes()}});
    }
    return {{"tensors", list}, {"bytes", state_->bytes().size()}};
  }

  Json load(const std::string& path) {
    const std::vector<std::uint8_t> bytes = read_bytes(path);
    if (bytes.size() != state_->bytes().size()) fail("an arena of another size");
    std::copy(bytes.begin(), bytes.end(), state_->bytes().begin());
    return Json::object();
  }
  Json save(const std::string& path) const {
    write_bytes(path, state_->bytes().data(), state_->bytes().size());
    return Json::object();
  }

  Json gradient(const Json& request) {
    const c10::InferenceMode no_graph;
    GradientArena gradients;
    gradients.prepare(state_->layout());
    const Model model(recipe_.layers, *state_, &gradients);
    BatchSource source(recipe_, manifest_, *partitions_[0]);
    std::vector<std::uint32_t> rows(request["rows"].get<std::size_t>());
    std::iota(rows.begin(), rows.end(), 0u);
    const BatchSource::Batch batch = source.gather(rows);
    LossFunction loss(recipe_.training.loss, recipe_.training.metrics);
    const at::Tensor output = model.forward(batch.x, {true, recipe_.seed, trial_, 0});
    write_tensor(request["out"], output);
    at::Tensor slope;
    expect(loss.add(output, batch.targets, &slope));
    write_tensor(request["dx"], model.backward(slope, true));
    std::vector<float> flat;
    for (const TensorSpec& spec : state_->layout().tensors) {
      if (spec.section != Section::kParameters) break;
      const float* begin = gradients.at(spec.offset_bytes);
      flat.insert(flat.end(), begin, begin + spec.size_bytes() / sizeof(float));
    }
    write_bytes(request["gradients"], flat.data(), flat.size() * sizeof(float));
    return means(loss.sums());
  }

  Json optimize(const Json& request) {
    const std::vector<std::uint8_t> bytes = read_bytes(request["gradients"]);
    const auto* from = reinterpret_cast<const float*>(bytes.data());
    GradientArena gradients;
    gradients.prepare(state_->layout());
    const Training& training = recipe_.training;
    for (std::uint64_t step = 0; step < request["steps"].get<std::uint64_t>(); ++step) {
      for (const TensorSpec& spec : state_->layout().tensors) {
        if (spec.section != Section::kParameters) break;
        const std::size_t count = spec.size_bytes() / sizeof(float);
        std::copy_n(from, count, gradients.at(spec.offset_bytes));
        from += count;
      }
      float factor = 1;
      if (training.clip_grad_norm) {
        factor = clip_factor(gradient_norm(state_->layout(), gradients), *training.clip_grad_norm);
      }
      optimizer_step(training.optimizer, training.optimizer.lr, factor, gradients, *state_);
      ++state_->cursor.step;
    }
    return Json::object();
  }

  Json rates(const Json& request) const {
    Json rates = Json::array();
    for (const std::uint64_t samples : request["samples"]) {
      rates.push_back(learning_rate(recipe_.training, samples, request["samples_per_epoch"]));
    }
    return {{"rates", rates}};
  }

  Json train(const Json& request) {
    const PartitionIndex partition{request["partition"]};
    const std::uint64_t batches = request["batches"];
    Json losses = Json::array();
    bool more = true;
    while (more && losses.size() < batches) {  // a batch a call: each loss by itself, and yields are exercised
      const VisitRequest visit{trial_,   partition,  static_cast<std::uint32_t>(partitions_.size()),
                               &recipe_, &manifest_, partitions_[partition.value].get(),
                               {}};
      const VisitResult result = take(trainer_->train(visit, *state_, {[] { return true; }, nullptr}));
      losses.push_back(result.train[0].total / static_cast<double>(result.train[0].weight));
      more = result.yielded;
    }
    return {{"losses", losses}};
  }

  Json evaluate(const Json& request) {
    return means(take(trainer_->evaluate(recipe_, manifest_, rows_of(request["partition"]), *state_, {})));
  }

  static Json means(const std::vector<Sum>& sums) {
    Json means;
    for (const Sum& sum : sums) means[sum.name] = sum.total / static_cast<double>(sum.weight);
    return means;
  }

  const TrialId trial_;
  Manifest manifest_;
  Recipe recipe_;
  std::vector<std::shared_ptr<const Partition>> partitions_;
  std::shared_ptr<const Partition> validation_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<StateArena> state_;
};

}  // namespace
}  // namespace modelhop

int main() {
  std::unique_ptr<modelhop::Session> session;
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto request = nlohmann::json::parse(line);
    if (request["do"] == "open") session = std::make_unique<modelhop::Session>(request);
    if (session == nullptr) modelhop::fail("nothing is open");
    std::cout << session->answer(request).dump() << std::endl;
  }
  return 0;
}
