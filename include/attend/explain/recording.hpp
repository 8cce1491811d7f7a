#pragma once
/// The reading side of Recording: maps and gates for the eye.
#include <algorithm>
#include <cmath>

#include "attend/autograd/recording.hpp"

ATTEND_BEGIN

namespace detail {
/// The value as floats, whichever scalar it was recorded in; null if it is neither.
template <int R>
std::shared_ptr<const float> recorded_as_float(const void* type, const void* value) {
  if (type == &type_tag<Variable<float, R>>) return static_cast<const Variable<float, R>*>(value)->buffer();
  if (type != &type_tag<Variable<double, R>>) return nullptr;
  const auto& wide = *static_cast<const Variable<double, R>*>(value);
  auto narrow = make_buffer<float>(wide.size());
  for (Index i = 0; i < wide.size(); ++i) narrow.get()[i] = static_cast<float>(wide.data()[i]);
  return narrow;
}
inline bool ends_with(const std::string& text, const char* end) {
  const std::string_view tail(end);
  return text.size() >= tail.size() && text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}
}  // namespace detail

inline const Recording::Entry& Recording::find_recorded(const char* operation, const std::string& name, Index call,
                                                        bool spatial) const {
  const auto is_gate = [](const Entry& e) { return detail::ends_with(e.name, "gate"); };
  const auto fits = [&](const Entry& e) {
    if (e.type != &type_tag<Variable<float, 2>> && e.type != &type_tag<Variable<double, 2>> &&
        e.type != &type_tag<Variable<float, 3>> && e.type != &type_tag<Variable<double, 3>> &&
        e.type != &type_tag<Variable<float, 4>> && e.type != &type_tag<Variable<double, 4>>)
      return false;
    if (!spatial) return is_gate(e) && e.shape.size() == 2;
    return is_gate(e) ? e.shape.size() == 4 && e.shape[3] == 1 : true;
  };
  std::vector<std::string> names;  // distinct, of what fits: of this very name, else below this path
  for (const bool exact : {true, false}) {
    for (const Entry& e : entries_)
      if (fits(e) && (exact ? e.name == name : name.empty() || e.name.compare(0, name.size() + 1, name + ".") == 0) &&
          std::find(names.begin(), names.end(), e.name) == names.end())
        names.push_back(e.name);
    if (!names.empty()) break;
  }
  require<OptionError>(names.size() == 1, operation, [&] {
    std::string text = names.empty() ? "nothing of this kind was recorded under \"" + name + "\"; recorded:"
                                     : "\"" + name + "\" could be any of:";
    if (names.empty())
      for (const Entry& e : entries_) text += "\n  " + e.name + " " + to_string(e.shape);
    for (const std::string& n : names) text += "\n  " + n;
    return text;
  });
  std::vector<const Entry*> calls;
  for (const Entry& e : entries_)
    if (e.name == names[0] && fits(e)) calls.push_back(&e);
  const auto count = static_cast<Index>(calls.size());
  require<OptionError>(call >= -1 && call < count, operation, [&] {
    return message("call ", call, " of \"", name, "\" was asked for; ", count, " were recorded");
  });
  return *calls[static_cast<std::size_t>(call < 0 ? count - 1 : call)];
}

inline Tensor<float, 2> Recording::gate(const std::string& name, Index call) const {
  const Entry& entry = find_recorded("gate", name, call, false);
  Tensor<float, 2> gate(entry.shape[0], entry.shape[1]);
  std::copy_n(detail::recorded_as_float<2>(entry.type, entry.value.get()).get(), gate.size(), gate.data());
  return gate;
}

inline Tensor<float, 3> Recording::map(const std::string& name, const MapOptions& o) const {
  const Entry& entry = find_recorded("map", name, o.call, true);
  std::shared_ptr<const float> values = detail::recorded_as_float<4>(entry.type, entry.value.get());
  if (!values) values = detail::recorded_as_float<3>(entry.type, entry.value.get());
  if (!values) values = detail::recorded_as_float<2>(entry.type, entry.value.get());
  const auto& shape = entry.shape;
  const Index batch = shape[0];
  if (detail::ends_with(entry.name, "gate")) {
    Tensor<float, 3> gate(batch, shape[1], shape[2]);
    std::copy_n(values.get(), gate.size(), gate.data());
    return gate;
  }

  const Index heads = shape.size() == 4 ? shape[1] : 1, queries = shape.size() > 2 ? shape[shape.size() - 2] : 1;
  const Index keys = shape.back(), grid = keys - o.prefix_tokens;
  Index height = o.height, width = o.width;
  if (height == 0 && width == 0)
    height = width = static_cast<Index>(std::lround(std::sqrt(double(std::max<Index>(grid, 0)))));
  else if (height == 0)
    height = width > 0 ? grid / width : 0;
  else if (width == 0)
    width = height > 0 ? grid / height : 0;
  require<OptionError>(
      o.prefix_tokens >= 0 && height > 0 && width > 0 && height <= grid && width <= grid && height * width == grid,
      "map", [&] {
        return message(entry.name, " has shape ", shape, ": its ", keys, " keys without ", o.prefix_tokens,
                       " prefix tokens are no grid of ", height, " x ", width);
      });
  require<OptionError>(o.head >= -1 && o.head < heads && o.query >= -1 && o.query < queries, "map", [&] {
    return message(entry.name, " has shape ", shape, "; it has no head ", o.head, " or no query ", o.query);
  });
  const Index first_head = std::max<Index>(o.head, 0), end_head = o.head < 0 ? heads : o.head + 1;
  const Index first_query = std::max<Index>(o.query, 0), end_query = o.query < 0 ? queries : o.query + 1;
  const float share =
      1.0f / static_cast<float>(std::max<Index>((end_head - first_head) * (end_query - first_query), 1));
  Tensor<float, 3> map(batch, height, width);
  map.setZero();
  for (Index b = 0; b < batch; ++b)
    for (Index h = first_head; h < end_head; ++h)
      for (Index q = first_query; q < end_query; ++q) {
        const float* row = values.get() + ((b * heads + h) * queries + q) * keys + o.prefix_tokens;
        float* to = map.data() + b * grid;
        for (Index k = 0; k < grid; ++k) to[k] += share * row[k];
      }
  return map;
}

ATTEND_END
