#pragma once
// Small data files made on the spot, in a folder that goes with the test.
#include <unistd.h>

#include <array>
#include <catch2/catch_message.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <zlib.h>

#include "common/spec/manifest.h"
#include "worker/data/dataset.h"

namespace modelhop {

// What a message lacks is shown beside the failed check.
inline bool contains(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "modelhop-data-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using Bytes = std::vector<std::uint8_t>;

inline void write_file(const std::string& path, const Bytes& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string text_of(const std::string& path) {
  const Bytes bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

template <class T>
Bytes little_endian(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// `code`: 8 = u8, 9 = i8, 11 = i16, 12 = i32, 13 = f32, 14 = f64
template <class T>
Bytes idx(std::uint8_t code, const std::vector<std::uint32_t>& sizes, const std::vector<T>& values) {
  Bytes bytes{0, 0, code, static_cast<std::uint8_t>(sizes.size())};
  for (std::uint32_t size : sizes) {
    for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  }
  for (const T& value : values) {
    const Bytes little = little_endian(std::vector<T>{value});
    bytes.insert(bytes.end(), little.rbegin(), little.rend());
  }
  return bytes;
}

inline Bytes gzip(const Bytes& plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflate");
  Bytes packed(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = const_cast<std::uint8_t*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// Version 1.0 as numpy.save writes it: the header padded so that the elements start at a multiple of 64.
inline Bytes npy_header(std::string dictionary) {
  dictionary.append((64 - (10 + dictionary.size() + 1) % 64) % 64, ' ');
  dictionary.push_back('\n');
  std::string text("\x93NUMPY\x01\x00", 8);
  text.push_back(static_cast<char>(dictionary.size() & 255));
  text.push_back(static_cast<char>(dictionary.size() >> 8));
  text += dictionary;
  return {text.begin(), text.end()};
}

template <class T>
Bytes npy(const std::string& descr, const std::string& shape, const std::vector<T>& values) {
  return joined(npy_header("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }"),
                little_endian(values));
}

// `rows` images of 2 x 3 whose first pixel is the row's number (mod 256), and labels number mod 3.
inline void write_mnist(const std::string& folder, std::uint32_t rows, std::uint32_t test_rows, bool packed = false) {
  for (const auto& [prefix, count] : {std::pair<std::string, std::uint32_t>("train", rows), {"t10k", test_rows}}) {
    if (count == 0) continue;
    std::vector<std::uint8_t> images, labels;
    for (std::uint32_t row = 0; row < count; ++row) {
      for (std::uint32_t i = 0; i < 6; ++i) images.push_back(static_cast<std::uint8_t>(row + i));
      labels.push_back(static_cast<std::uint8_t>(row % 3));
    }
    const Bytes x = idx(8, {count, 2, 3}, images), y = idx(8, {count}, labels);
    write_file(folder + "/" + prefix + "-images-idx3-ubyte" + (packed ? ".gz" : ""), packed ? gzip(x) : x);
    write_file(folder + "/" + prefix + "-labels-idx1-ubyte" + (packed ? ".gz" : ""), packed ? gzip(y) : y);
  }
}

inline ImportRequest request_of(ImportFrom from, std::vector<std::string> paths, std::uint32_t partitions = 2) {
  ImportRequest request;
  request.name = "tiny";
  request.from = from;
  request.paths = std::move(paths);
  request.partitions = partitions;
  request.seed = 7;
  return request;
}

}  // namespace modelhop
