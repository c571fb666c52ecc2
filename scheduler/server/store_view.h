#pragma once
// What the scheduler reads and writes in the store: manifests, and the fence. It opens no data file.
#include <cstdint>
#include <string>
#include <vector>

#include "common/spec/manifest.h"
#include "common/store/blob_store.h"
#include "common/wire/records.h"

namespace modelhop {

// kNotFound names the data sets that are there.
Result<Manifest> read_manifest(BlobStore& store, const std::string& dataset);
std::vector<std::string> dataset_names(BlobStore& store);  // by name; unreadable ones too
DatasetRegistered registered(const Manifest& manifest);

// A boot number that no scheduler on this store had: an exclusive create of fence/<n>, above `above`.
Result<std::uint64_t> claim_boot(BlobStore& store, std::uint64_t above);

}  // namespace modelhop
