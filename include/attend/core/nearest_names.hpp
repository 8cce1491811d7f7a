#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN
namespace detail {

/// Insertions, deletions and replacements that make one word of the other (Levenshtein 1966).
inline std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The names, those most like `wanted` first: what an error about an unknown name offers.
inline std::vector<std::string> nearest_first(const std::string& wanted, std::vector<std::string> names) {
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(wanted, a) < edit_distance(wanted, b);
  });
  return names;
}
/// "a, b and c": the three nearest; fewer if there are fewer; "none" without any.
inline std::string nearest_names(const std::string& wanted, const std::vector<std::string>& names) {
  const auto near = nearest_first(wanted, names);
  const std::size_t count = std::min<std::size_t>(3, near.size());
  std::string text = count ? near[0] : "none";
  for (std::size_t i = 1; i < count; ++i) text += (i + 1 == count ? " and " : ", ") + near[i];
  return text;
}

}  // namespace detail
ATTEND_END
