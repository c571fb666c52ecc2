#pragma once
// What the scheduler reads of the store's data sets: their manifests. It opens no data file.
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

}  // namespace modelhop
