#pragma once
/// Named tensors in the format of https://github.com/huggingface/safetensors: the length of a header, the header
/// (JSON), the data. A file is validated entirely before the first value is handed out.
#include "attend/io/safetensors_header.hpp"

ATTEND_BEGIN

struct SafetensorsOptions {
  bool memory_map = false;  ///< map instead of read: no copy, but see InputFile::map
  SafetensorsLimits limits = {};
};

/// A safetensors file, open for reading. Copies share the bytes.
class SafetensorsFile {
 public:
  /// Throws FileError if the file cannot be read or is not exactly what the format demands.
  explicit SafetensorsFile(const std::filesystem::path& path, const SafetensorsOptions& options = {})
      : source_{"safetensors", path} {
    InputFile file(source_);
    source_.require(file.size() >= 8, [&] {
      return message("has ", file.size(), " bytes; a safetensors file begins with the 8 of its header's length");
    });
    std::byte first[8];
    file.read(first, 8);
    source_.require(std::memcmp(first, "version ", 8) != 0,
                    [] { return "is a Git LFS pointer; fetch the file it stands for"; });
    const auto length = detail::load_bytes<std::uint64_t>(first);
    source_.require(length <= options.limits.header && length <= file.size() - 8, [&] {
      return message("announces a header of ", length, " bytes; the file has ", file.size(), ", and at most ",
                     options.limits.header, " are read");
    });
    const std::uint64_t data_size = file.size() - 8 - length;
    const FileBytes header = file.read(length);
    index_ = detail::parse_safetensors_header(source_, options.limits, header.text(), data_size);
    if (options.memory_map) {
      bytes_ = file.map();
      data_ = bytes_.begin() + 8 + length;
    } else {
      bytes_ = file.read(data_size);
      data_ = bytes_.begin();
    }
  }

  const std::filesystem::path& path() const { return source_.path; }
  /// In alphabetical order.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& named : index_.tensors) names.push_back(named.first);
    return names;
  }
  bool contains(const std::string& name) const { return index_.tensors.count(name) > 0; }
  const std::map<std::string, std::string>& metadata() const { return index_.metadata; }
  const std::vector<Index>& shape(const std::string& name) const { return entry(name).shape; }
  Dtype dtype(const std::string& name) const { return entry(name).dtype; }

  /// Lives no longer than this file. Throws FileError if there is no such tensor.
  StoredArray operator[](const std::string& name) const {
    const auto& e = entry(name);
    return {source_, name, e.dtype, e.shape, data_ + e.begin};
  }
  /// Converted as StoredArray says. Throws FileError on another rank or a value that does not convert.
  template <class S, int R>
  Tensor<S, R> tensor(const std::string& name) const {
    return (*this)[name].tensor<S, R>();
  }
  template <class S>
  Tensor<S, 1> flat(const std::string& name) const {
    return (*this)[name].flat<S>();
  }

  const FileSource& source() const { return source_; }

 private:
  const detail::SafetensorsEntry& entry(const std::string& name) const {
    const auto found = index_.tensors.find(name);
    source_.require(found != index_.tensors.end(),
                    [&] { return message("has no tensor ", excerpt(name), " among its ", index_.tensors.size()); });
    return found->second;
  }
  FileSource source_;
  detail::SafetensorsIndex index_;
  FileBytes bytes_;
  const std::byte* data_ = nullptr;
};

/// Collects named tensors (copied), then writes them at once.
class SafetensorsWriter {
 public:
  /// A Tensor or TensorMap; floats may be stored as Dtype::F16 or BF16. Throws OptionError if the name is taken.
  template <class T>
  SafetensorsWriter& add(const std::string& name, const T& tensor) {
    return add(name, ArrayBytes::of(tensor));
  }
  template <class T>
  SafetensorsWriter& add(const std::string& name, const T& tensor, Dtype dtype) {
    return add(name, ArrayBytes::of(tensor, dtype));
  }
  SafetensorsWriter& add(const std::string& name, ArrayBytes array) {
    require<OptionError>(name != "__metadata__" && arrays_.count(name) == 0, "safetensors",
                         [&] { return message("name ", excerpt(name), " is given twice, or reserved"); });
    require_text(name);
    arrays_.emplace(name, std::move(array));
    return *this;
  }
  SafetensorsWriter& metadata(const std::string& key, const std::string& value) {
    require_text(key);
    require_utf8(value);
    metadata_[key] = value;
    return *this;
  }

  /// Replaces the file entirely or, on FileError, not at all.
  void write(const std::filesystem::path& path) const {
    std::vector<const std::pair<const std::string, ArrayBytes>*> in_order;
    for (const auto& named : arrays_) in_order.push_back(&named);
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const auto* a, const auto* b) {  // keeps each aligned to its size
                       return size_of(a->second.dtype) > size_of(b->second.dtype);
                     });
    std::string header = "{";
    if (!metadata_.empty()) header += "\"__metadata__\":" + nlohmann::json(metadata_).dump();
    std::uint64_t at = 0;
    for (const auto* named : in_order) {
      const ArrayBytes& array = named->second;
      header += (header.size() > 1 ? "," : "") + nlohmann::json(named->first).dump() + ":{\"dtype\":\"" +
                to_string(array.dtype) + "\",\"shape\":" + nlohmann::json(array.shape).dump() + ",\"data_offsets\":[" +
                to_string(at) + "," + to_string(at + array.bytes.size()) + "]}";
      at += array.bytes.size();
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');

    AtomicFile file({"safetensors", path});
    std::byte length[8];
    detail::store_bytes(std::uint64_t(header.size()), length);
    file.write(length, 8);
    file.write(header);
    for (const auto* named : in_order) file.write(named->second.bytes.data(), named->second.bytes.size());
    file.commit();
  }

 private:
  static void require_text(const std::string& name) {
    for (const char c : name)
      require<OptionError>(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "safetensors",
                           [&] { return message("name ", excerpt(name), " has a control character"); });
    require_utf8(name);
  }
  static void require_utf8(const std::string& name) {
    try {
      (void)nlohmann::json(name).dump();
    } catch (const nlohmann::json::exception&) {
      throw OptionError("safetensors", excerpt(name) + " is not valid UTF-8");
    }
  }
  std::map<std::string, ArrayBytes> arrays_;
  std::map<std::string, std::string> metadata_;
};

ATTEND_END
