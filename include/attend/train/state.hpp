#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// The state of a run as named arrays, in memory: what optimizers, averages and generators save themselves into, and
/// what a checkpoint file holds. Reading asks for exact types and sizes and throws FileError.
class State {
 public:
  enum class Type : std::uint8_t { f32, f64, i64, u64, u8 };
  struct Array {
    Type type;
    std::vector<Index> shape;
    std::vector<unsigned char> bytes;  // of this machine
  };

  State() = default;
  /// `origin` begins the error texts: the file.
  explicit State(std::string origin) : origin_(std::move(origin)) {}

  template <class T>
  void put(const std::string& name, const std::vector<Index>& shape, const T* values, Index count) {
    Array array{type_of<T>(), shape, std::vector<unsigned char>(static_cast<std::size_t>(count) * sizeof(T))};
    if (count > 0) std::memcpy(array.bytes.data(), values, array.bytes.size());
    put(name, std::move(array));
  }
  template <class T>
  void put(const std::string& name, const std::vector<T>& values) {
    const auto count = static_cast<Index>(values.size());
    put(name, {count}, values.data(), count);
  }
  void put(const std::string& name, const std::string& text) {
    const auto count = static_cast<Index>(text.size());
    put(name, {count}, reinterpret_cast<const std::uint8_t*>(text.data()), count);
  }
  void put(const std::string& name, Array array) {
    attend::require<OptionError>(arrays_.emplace(name, std::move(array)).second, "checkpoint",
                                 [&] { return message("two parts are named \"", name, "\""); });
  }

  bool contains(const std::string& name) const { return arrays_.count(name) > 0; }
  /// The array of exactly this type; `count` of -1 takes any number of elements.
  template <class T>
  std::vector<T> array(const std::string& name, Index count = -1) const {
    const Array& found = find(name);
    require(found.type == type_of<T>(),
            [&] { return message('"', printable(name), "\" has another type than expected"); });
    std::vector<T> values(found.bytes.size() / sizeof(T));
    require(count < 0 || static_cast<Index>(values.size()) == count, [&] {
      return message('"', printable(name), "\" has ", values.size(), " elements; ", count, " were expected");
    });
    if (!values.empty()) std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
    return values;
  }
  /// Of exactly this shape.
  template <class T>
  std::vector<T> array(const std::string& name, const std::vector<Index>& shape) const {
    const Array& found = find(name);
    require(found.shape == shape,
            [&] { return message('"', printable(name), "\" has shape ", found.shape, "; ", shape, " was expected"); });
    return array<T>(name);
  }
  std::string text(const std::string& name) const {
    const auto bytes = array<std::uint8_t>(name);
    return {bytes.begin(), bytes.end()};
  }
  /// Those that begin with `prefix`, in alphabetical order.
  std::vector<std::string> names(const std::string& prefix = "") const {
    std::vector<std::string> names;
    for (auto at = arrays_.lower_bound(prefix); at != arrays_.end() && starts_with(at->first, prefix); ++at)
      names.push_back(at->first);
    return names;
  }
  /// Those that nobody has read.
  std::vector<std::string> unread() const {
    std::vector<std::string> names;
    for (const auto& [name, array] : arrays_)
      if (read_.count(name) == 0) names.push_back(name);
    return names;
  }
  const std::map<std::string, Array>& arrays() const { return arrays_; }

  template <class Text>
  void require(bool ok, Text&& text) const {
    attend::require<FileError>(ok, "checkpoint", [&] { return origin_ + (origin_.empty() ? "" : ": ") + text(); });
  }
  /// A name from a file, safe to print.
  static std::string printable(const std::string& name) {
    std::string safe = name.substr(0, 64);
    for (char& c : safe)
      if (c < 0x20 || c > 0x7e) c = '?';
    return safe + (name.size() > 64 ? "..." : "");
  }

 private:
  template <class T>
  static constexpr Type type_of() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t> ||
                      std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::uint8_t>,
                  "attend: a state holds float, double, int64, uint64 and uint8");
    return std::is_same_v<T, float>          ? Type::f32
           : std::is_same_v<T, double>       ? Type::f64
           : std::is_same_v<T, std::int64_t> ? Type::i64
           : std::is_same_v<T, std::uint8_t> ? Type::u8
                                             : Type::u64;
  }
  static bool starts_with(const std::string& name, const std::string& prefix) {
    return name.compare(0, prefix.size(), prefix) == 0;
  }
  const Array& find(const std::string& name) const {
    const auto found = arrays_.find(name);
    require(found != arrays_.end(), [&] { return message("there is no \"", printable(name), "\""); });
    read_.insert(name);
    return found->second;
  }
  std::string origin_;
  std::map<std::string, Array> arrays_;
  mutable std::set<std::string> read_;
};

ATTEND_END
