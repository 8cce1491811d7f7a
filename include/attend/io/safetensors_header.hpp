#pragma once
#include <nlohmann/json.hpp>

#include "attend/io/stored_array.hpp"

ATTEND_BEGIN

/// What a reader accepts; a file beyond it is refused before anything of that size is allocated.
struct SafetensorsLimits {
  std::uint64_t header = 100'000'000;       ///< bytes of the JSON header
  std::size_t tensors = 1'000'000;          ///< number of tensors
  std::size_t rank = 8;                     ///< axes of a tensor
  std::size_t name = std::size_t(1) << 16;  ///< bytes of a name
};

namespace detail {

struct SafetensorsEntry {
  Dtype dtype = Dtype::F32;
  std::vector<Index> shape;
  std::uint64_t begin = 0, end = 0;  // within the data that follows the header
};
struct SafetensorsIndex {
  std::map<std::string, SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
};

/// Follows the parser through {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__":
/// {"k": "v"}} and refuses everything else at once: other nesting, other kinds of values, fields given twice.
class SafetensorsHeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeaderReader(const FileSource& source, const SafetensorsLimits& limits)
      : source_(source), limits_(limits) {}
  SafetensorsIndex take() { return std::move(index_); }

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override { return refuse("the number " + excerpt(text)); }
  bool binary(binary_t&) override { return refuse("binary data"); }

  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::list) return refuse("a number");
    std::vector<std::uint64_t>& list = field_ == "shape" ? shape_ : offsets_;
    const std::size_t most = field_ == "shape" ? limits_.rank : 2;
    source_.require(list.size() < most, [&] { return message(where(), " has more than ", most, " elements"); });
    list.push_back(number);
    return true;
  }
  bool string(string_t& text) override {
    if (place_ == Place::metadata)
      index_.metadata.at(field_) = text;
    else if (place_ == Place::tensor && field_ == "dtype")
      entry().dtype = dtype_from(text);
    else
      return refuse("a string");
    return true;
  }
  bool start_object(std::size_t) override {
    if (place_ == Place::start)
      place_ = Place::top;
    else if (place_ == Place::top)
      place_ = name_ == "__metadata__" ? Place::metadata : Place::tensor;
    else
      return refuse("an object");
    return true;
  }
  bool key(string_t& text) override {
    source_.require(text.size() <= limits_.name, [&] {
      return message("the header has a name of ", text.size(), " bytes: ", excerpt(text), "; at most ", limits_.name,
                     " are read");
    });
    for (const char c : text)
      source_.require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f,
                      [&] { return message("name ", excerpt(text), " has a control character"); });
    bool first = true;
    if (place_ == Place::top) {
      name_ = text, seen_ = 0;
      shape_.clear(), offsets_.clear();
      if (text == "__metadata__")
        first = !std::exchange(has_metadata_, true);
      else
        first = index_.tensors.emplace(text, SafetensorsEntry{}).second;
      source_.require(index_.tensors.size() <= limits_.tensors,
                      [&] { return message("has more than ", limits_.tensors, " tensors"); });
    } else {
      field_ = text;
      if (place_ == Place::metadata)
        first = index_.metadata.emplace(text, "").second;
      else {
        const unsigned field = text == "dtype" ? 1 : text == "shape" ? 2 : text == "data_offsets" ? 4 : 0;
        source_.require(field != 0,
                        [&] { return message("tensor ", excerpt(name_), " has an unknown field ", excerpt(text)); });
        first = !(seen_ & field);
        seen_ |= field;
      }
    }
    source_.require(first, [&] { return message("name ", excerpt(text), " is given twice"); });
    return true;
  }
  bool end_object() override {
    if (place_ == Place::tensor) finish_tensor();
    place_ = place_ == Place::top ? Place::end : Place::top;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || (field_ != "shape" && field_ != "data_offsets")) return refuse("a list");
    place_ = Place::list;
    return true;
  }
  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception&) override {
    source_.fail("the header is not valid JSON at byte " + to_string(8 + position) + ", near " + excerpt(token));
  }

 private:
  enum class Place { start, top, metadata, tensor, list, end };

  std::string where() const {
    if (place_ == Place::start) return "the header";
    if (place_ == Place::top) return excerpt(name_);
    return message(excerpt(field_), " of ", excerpt(name_));
  }
  [[noreturn]] bool refuse(const std::string& what) const {
    const char* wanted = place_ == Place::list                            ? "a whole number from 0"
                         : place_ == Place::metadata || field_ == "dtype" ? "a string"
                                                                          : "an object";
    if (place_ == Place::tensor && field_ != "dtype") wanted = "a list";
    if (place_ == Place::start || place_ == Place::top) wanted = "an object";
    source_.fail(where() + " is or contains " + what + "; it must be " + wanted);
  }
  SafetensorsEntry& entry() { return index_.tensors.at(name_); }
  Dtype dtype_from(const std::string& text) const {
    for (const Dtype dtype : {Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::I64, Dtype::I32, Dtype::I16,
                              Dtype::I8, Dtype::U64, Dtype::U32, Dtype::U16, Dtype::U8, Dtype::BOOL})
      if (text == to_string(dtype)) return dtype;
    source_.fail("tensor " + excerpt(name_) + " has the unknown type " + excerpt(text));
  }
  void finish_tensor() {
    source_.require(seen_ == 7,
                    [&] { return message("tensor ", excerpt(name_), " lacks one of dtype, shape and data_offsets"); });
    source_.require(offsets_.size() == 2 && offsets_[0] <= offsets_[1], [&] {
      return message("tensor ", excerpt(name_), " has data_offsets that are no two ascending numbers");
    });
    SafetensorsEntry& e = entry();
    Checked bytes = size_of(e.dtype);
    for (const std::uint64_t extent : shape_) {
      source_.require(extent <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max()),
                      [&] { return message("tensor ", excerpt(name_), " has an extent of ", extent); });
      bytes = bytes * extent;
      e.shape.push_back(static_cast<Index>(extent));
    }
    e.begin = offsets_[0], e.end = offsets_[1];
    source_.require(bytes == e.end - e.begin, [&] {
      return message("tensor ", excerpt(name_), " has type ", e.dtype, " and shape ", e.shape, ", but ",
                     e.end - e.begin, " bytes");
    });
  }

  const FileSource& source_;
  const SafetensorsLimits& limits_;
  SafetensorsIndex index_;
  Place place_ = Place::start;
  std::string name_, field_;
  std::vector<std::uint64_t> shape_, offsets_;
  unsigned seen_ = 0;
  bool has_metadata_ = false;
};

/// The validated content of a header, whose tensors cover the `data_size` bytes behind it without hole or overlap.
inline SafetensorsIndex parse_safetensors_header(const FileSource& source, const SafetensorsLimits& limits,
                                                 std::string_view json, std::uint64_t data_size) {
  source.require(!json.empty() && json.front() == '{',
                 [&] { return message("the header does not begin with '{' but with ", excerpt(json.substr(0, 8))); });
  source.require(json.find('\0') == json.npos,
                 [] { return "the header has a NUL byte"; });  // the parser would stop there
  SafetensorsHeaderReader reader(source, limits);
  source.require(nlohmann::json::sax_parse(json.begin(), json.end(), &reader),
                 [] { return "the header is not valid"; });
  SafetensorsIndex index = reader.take();

  using Named = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Named*> in_order;
  for (const Named& named : index.tensors) in_order.push_back(&named);
  std::sort(in_order.begin(), in_order.end(), [](const Named* a, const Named* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t covered = 0;
  for (const Named* named : in_order) {
    const auto& [name, entry] = *named;
    source.require(entry.end <= data_size, [&, &n = name, &e = entry] {
      return message("tensor ", excerpt(n), " ends at byte ", e.end, " of the data, which has ", data_size);
    });
    source.require(entry.begin == covered, [&, &n = name, &e = entry] {
      return message("tensor ", excerpt(n), " begins at byte ", e.begin, " of the data; ",
                     e.begin < covered ? "it overlaps another, which ends at " : "there is a hole from byte ", covered);
    });
    covered = entry.end;
  }
  source.require(covered == data_size,
                 [&] { return message("has ", data_size - covered, " bytes behind the last tensor"); });
  return index;
}

}  // namespace detail

ATTEND_END
