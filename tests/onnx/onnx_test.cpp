#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <set>

#include "attend/io/safetensors_file.hpp"
#include "onnx/node.hpp"
#include "shared_data.hpp"

namespace onnx {

std::map<std::string, Operator>& operators() {
  static std::map<std::string, Operator> all;
  return all;
}
const std::vector<std::string>& reasons() {
  static const std::vector<std::string> all = {reason::three_dimensional, reason::cubic,    reason::antialias,
                                               reason::coordinates,       reason::rounding, reason::slope,
                                               reason::peepholes,         reason::reset,    reason::boolean};
  return all;
}

Array Array::transposed(const std::vector<std::size_t>& order) const {
  Array out;
  out.type = type;
  std::vector<Index> stride(shape.size(), 1), at(shape.size(), 0);
  for (std::size_t a = shape.size(); a-- > 1;) stride[a - 1] = stride[a] * shape[a];
  for (const std::size_t a : order) out.shape.push_back(shape[a]);
  out.values.reserve(values.size());
  for (std::size_t k = 0; k < values.size(); ++k) {
    Index from = 0;
    for (std::size_t a = 0; a < order.size(); ++a) from += at[a] * stride[order[a]];
    out.values.push_back(values[static_cast<std::size_t>(from)]);
    for (std::size_t a = order.size(); a-- > 0 && ++at[a] == out.shape[a];) at[a] = 0;
  }
  return out;
}
Array Array::channels_last() const {
  std::vector<std::size_t> order = {0};
  for (std::size_t a = 2; a < shape.size(); ++a) order.push_back(a);
  order.push_back(1);
  return transposed(order);
}
Array Array::channels_first() const {
  std::vector<std::size_t> order = {0, shape.size() - 1};
  for (std::size_t a = 1; a + 1 < shape.size(); ++a) order.push_back(a);
  return transposed(order);
}

namespace {
using Json = nlohmann::json;

Array load(const attend::SafetensorsFile& file, const std::string& name) {
  const auto values = file.flat<double>(name);
  Array a(file.shape(name), {});
  for (Index k = 0; k < values.size(); ++k) a.values.push_back(static_cast<float>(values(k)));
  a.type = attend::to_string(file.dtype(name));
  return a;
}

/// The largest distance from `expected`, in units of the allowed one: 1e-5 of the largest number, for single precision;
/// a rounding of half precision where the vector is stored so.
double distance(const Array& found, const Array& expected) {
  double scale = 1e-3, worst = 0;
  for (const float v : expected.values)
    if (std::isfinite(v)) scale = std::max(scale, double(std::abs(v)));
  const double allowed = scale * (expected.type == "F16" ? 1e-3 : 1e-5);
  for (std::size_t k = 0; k < expected.values.size(); ++k)
    if (found.values[k] != expected.values[k])
      worst = std::max(worst, std::isfinite(found.values[k])
                                  ? std::abs(double(found.values[k]) - double(expected.values[k])) / allowed
                                  : 1e30);
  return worst;
}

/// Runs the nodes of one vector and compares what they return.
void run(const Json& vector, const std::filesystem::path& folder) {
  const attend::SafetensorsFile file(folder / "vectors" / vector.at("file").get<std::string>());
  std::map<std::string, Array> values;
  for (const auto& [key, name] : vector.at("names").items())
    if (key.rfind("input_", 0) == 0) values[name.get<std::string>()] = load(file, key);
  for (const auto& name : file.names())
    if (name.rfind("init.", 0) == 0) values[name.substr(5)] = load(file, name);
  for (const auto& node : vector.at("nodes")) {
    std::vector<const Array*> inputs;
    for (const auto& name : node.at("inputs")) {
      const auto found = values.find(name.get<std::string>());
      inputs.push_back(found == values.end() ? nullptr : &found->second);
    }
    const auto outputs = node.at("outputs").get<std::vector<std::string>>();
    auto results = operators().at(node.at("op").get<std::string>())(Node(node.at("attrs"), inputs, outputs));
    for (std::size_t i = 0; i < outputs.size() && i < results.size(); ++i)
      if (!results[i].shape.empty() || !results[i].values.empty()) values[outputs[i]] = std::move(results[i]);
  }
  std::size_t compared = 0;
  for (const auto& [key, name] : vector.at("names").items()) {
    if (key.rfind("output_", 0) != 0) continue;
    const auto found = values.find(name.get<std::string>());
    if (found == values.end()) continue;
    Array expected = load(file, key);
    if (found->second.rank() == 0) expected.shape.clear();  // the files store a number as one element
    ASSERT_EQ(found->second.shape, expected.shape) << key;
    EXPECT_LE(distance(found->second, expected), 1) << key << ", in units of the allowed difference";
    ++compared;
  }
  EXPECT_GE(compared, 1u) << "nothing was compared";
}

/// Operators that the library has not.
const std::map<std::string, std::string> missing_operators = {
    {"Selu", "no SELU"}, {"Celu", "no CELU"}, {"Mish", "no Mish"}};

TEST(Onnx, StandardVectors) {
  const auto folder = shared_data("onnx-node-tests");
  if (!folder) GTEST_SKIP() << "no onnx-node-tests below ATTEND_DATA or shared/data";
  std::ifstream in(*folder / "index.json");
  const Json index = Json::parse(in);
  std::map<std::string, int> ran, skipped;
  int total = 0;
  for (const Json& vector : index) {
    const auto name = vector.at("test").get<std::string>();
    SCOPED_TRACE(name);
    std::string why;
    for (const auto& op : vector.at("ops")) {
      const auto known = missing_operators.find(op.get<std::string>());
      if (known != missing_operators.end())
        why = known->second;
      else if (operators().count(op.get<std::string>()) == 0)
        ADD_FAILURE() << "no operator " << op << ", and no reason why";
    }
    if (why.empty()) try {
        run(vector, *folder);
      } catch (const Skip& skip) {
        why = skip.reason;
        EXPECT_NE(std::count(reasons().begin(), reasons().end(), why), 0) << "skipped for an unlisted reason: " << why;
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    why.empty() ? ++ran[vector.at("ops").at(0).get<std::string>()] : ++skipped[why];
    total += why.empty();
  }
  std::cout << total << " of " << index.size() << " vectors ran:";
  for (const auto& [op, count] : ran) std::cout << " " << op << " " << count;
  std::cout << "\n" << index.size() - static_cast<std::size_t>(total) << " were skipped:\n";
  for (const auto& [why, count] : skipped) std::cout << "  " << count << " " << why << "\n";
  EXPECT_GE(total, 194) << "fewer vectors run than before";
}
}  // namespace
}  // namespace onnx
