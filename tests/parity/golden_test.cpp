#include "parity/golden.hpp"

#include <gtest/gtest-spi.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "attend/io/safetensors_file.hpp"
#include "attend/train/moments.hpp"

namespace golden {
namespace {
using Json = nlohmann::json;

std::filesystem::path folder() { return std::filesystem::path(ATTEND_SOURCE_DIR) / "tests" / "goldens"; }

/// A whole family file; kept, because a family has many cases.
const attend::SafetensorsFile& file_of(const std::string& family) {
  static std::map<std::string, attend::SafetensorsFile> known;
  const auto found = known.find(family);
  if (found != known.end()) return found->second;
  return known.emplace(family, attend::SafetensorsFile(folder() / (family + ".safetensors"))).first->second;
}
Json metadata_of(const std::string& family, const std::string& name) {
  return Json::parse(file_of(family).metadata().at(name));
}

/// Axis `from` moved to place `to`.
Flat moved_axis(const Flat& flat, std::size_t from, std::size_t to) {
  std::vector<std::size_t> order(flat.shape.size());
  for (std::size_t a = 0; a < order.size(); ++a) order[a] = a;
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(from));
  order.insert(order.begin() + static_cast<std::ptrdiff_t>(to), from);
  Flat out;
  for (const std::size_t a : order) out.shape.push_back(flat.shape[a]);
  std::vector<Index> stride(flat.shape.size(), 1);
  for (std::size_t a = stride.size(); a-- > 1;) stride[a - 1] = stride[a] * flat.shape[a];
  std::vector<Index> at(order.size(), 0);
  for (std::size_t k = 0; k < flat.values.size(); ++k) {
    Index source = 0;
    for (std::size_t a = 0; a < order.size(); ++a) source += at[a] * stride[order[a]];
    out.values.push_back(flat.values[static_cast<std::size_t>(source)]);
    for (std::size_t a = order.size(); a-- > 0 && ++at[a] == out.shape[a];) at[a] = 0;
  }
  return out;
}

template <class S>
std::vector<S> as(const std::vector<double>& values) {
  std::vector<S> out;
  for (const double v : values) out.push_back(static_cast<S>(v));
  return out;
}

struct Registry {
  std::map<std::string, std::set<std::string>> compared, absent;
  static Registry& get() {
    static Registry registry;
    return registry;
  }
};

template <class S>
void run_once(const Case& golden, const Bounds& bounds, const std::function<void(Run<S>&)>& f) {
  Run<S> run(golden, bounds);
  f(run);
  EXPECT_TRUE(run.finished()) << "the check must end with run.finish()";
}

/// sum_k y_k g_k: what sends g into the backward pass.
template <class S>
attend::Variable<S, 0> inner(const attend::Variable<S, 1>& y, const std::vector<S>& g) {
  attend::Operation<S> op("inner", y);
  const auto sum = op.result(attend::Shape<0>{});
  S* total = op.data(sum);
  *total = 0;
  for (std::size_t k = 0; k < g.size(); ++k) *total += y.data()[k] * g[k];
  if (op.records())
    op.record(sum, [=, d = op.slot(sum), dy = op.slot(y)](attend::Pass<S>& pass) {
      if (S* to = pass.add_to(dy))
        for (std::size_t k = 0; k < g.size(); ++k) to[k] += *pass.of(d) * g[k];
    });
  return sum;
}

class GoldenTest : public ::testing::Test {
 public:
  GoldenTest(std::string family, Named named) : family_(std::move(family)), named_(std::move(named)) {}
  void TestBody() override {
    const Case golden(family_, named_.name);
    {
      SCOPED_TRACE("in double");
      run_once<double>(golden, named_.check.bounds, named_.check.in_double);
    }
    SCOPED_TRACE("in float");
    run_once<float>(golden, named_.check.bounds, named_.check.in_float);
  }

 private:
  std::string family_;
  Named named_;
};
}  // namespace

Case::Case(const std::string& family, const std::string& name) : family_(family), name_(name) {
  training_ = metadata_of(family, name).at("training").get<bool>();
}
bool Case::has(const std::string& tensor) const { return file_of(family_).contains(name_ + "/" + tensor); }
Flat Case::read(const std::string& tensor) const {
  const auto stored = file_of(family_)[name_ + "/" + tensor];
  const auto values = stored.flat<double>();
  const Flat flat{stored.shape(), {values.data(), values.data() + values.size()}};
  std::string owner = tensor;  // a gradient lies as what it belongs to
  if (owner.rfind("grad_", 0) == 0) owner = owner.substr(5);
  if (owner.rfind("grad.", 0) == 0) owner = owner.substr(5);
  const std::string layout = metadata_of(family_, name_).at("layout").value(owner, "");
  if (layout == "channels_first") return moved_axis(flat, 1, flat.shape.size() - 1);
  if (layout == "heads_first") return moved_axis(flat, 1, 2);
  return flat;
}
std::vector<Index> Case::integers(const std::string& tensor) const {
  std::vector<Index> out;
  for (const double v : read(tensor).values) out.push_back(static_cast<Index>(v));
  return out;
}
std::vector<std::string> Case::names(const std::string& beginning) const {
  std::vector<std::string> out;
  const std::string start = name_ + "/" + beginning;
  for (const std::string& known : file_of(family_).names())
    if (known.rfind(start, 0) == 0) out.push_back(known.substr(start.size()));
  return out;
}
std::vector<std::string> Case::families() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    if (entry.path().extension() == ".safetensors") out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}
std::vector<std::string> Case::in_family(const std::string& family) {
  std::vector<std::string> out;
  for (const auto& [name, text] : file_of(family).metadata())
    if (text.rfind("{", 0) == 0) out.push_back(name);  // the rest are versions
  return out;
}

template <class S>
Run<S>::Run(const Case& golden, const Bounds& bounds)
    : golden_(golden),
      bounds_(bounds),
      tape_(golden.training() ? attend::Mode::training : attend::Mode::evaluation, rng_) {}

template <class S>
void Run<S>::fill(const std::vector<attend::ParameterRef<S>>& parameters) {
  parameters_ = parameters;
  std::set<std::string> in_file;
  for (const std::string kind : {"param.", "buffer."})
    for (const auto& name : golden_.names(kind)) in_file.insert(kind + name);
  for (const auto& p : parameters) {
    const std::string name = (p->kind() == attend::Kind::parameter ? "param." : "buffer.") + p.name;
    if (!in_file.erase(name)) {
      ADD_FAILURE() << "the layer has " << name << ", which PyTorch's module has not";
      continue;
    }
    const Flat flat = golden_.read(name);
    EXPECT_EQ(flat.shape, p->shape()) << name;
    if (flat.shape != p->shape()) continue;
    auto values = p->edit_flat();
    for (Index k = 0; k < p->size(); ++k) values(k) = S(flat.values[static_cast<std::size_t>(k)]);
  }
  for (const auto& name : in_file) ADD_FAILURE() << "PyTorch's module has " << name << ", which the layer has not";
}

template <class S>
void Run<S>::compare(const std::string& name, const S* found, std::size_t size) const {
  const Flat expected = golden_.read(name);
  ASSERT_EQ(size, expected.values.size()) << name;
  double largest = 0;
  for (const double v : expected.values) largest = std::max(largest, std::abs(v));
  // A gradient that is zero but for rounding (of a bias before a norm, say) is a difference of the others.
  double scale = largest;
  if (std::is_same_v<S, float> && largest < 1e-9 && name.rfind("grad.", 0) == 0)
    for (const auto& other : golden_.names("grad."))
      for (const double v : golden_.read("grad." + other).values) scale = std::max(scale, std::abs(v));
  std::size_t wrong = 0, worst = 0;
  double worst_difference = -1;
  for (std::size_t k = 0; k < size; ++k) {
    const double difference = std::abs(double(found[k]) - expected.values[k]);
    const double allowed = std::is_same_v<S, double> ? bounds_.in_double * std::max(1.0, std::abs(expected.values[k]))
                                                     : bounds_.in_float * std::max(0.01, scale);
    if (!(difference <= allowed)) ++wrong;
    if (!(difference <= worst_difference)) worst_difference = difference, worst = k;
  }
  EXPECT_EQ(wrong, 0u) << name << ": of " << size << " numbers, at worst [" << worst << "] is " << double(found[worst])
                       << ", PyTorch has " << expected.values[worst] << " (difference " << worst_difference
                       << ", largest number " << largest << ")";
}

template <class S>
void Run<S>::finish() {
  finished_ = true;
  const bool several = golden_.has("output.0");
  EXPECT_EQ(outputs_.size(), several ? golden_.names("output.").size() : 1u) << "number of outputs";
  std::vector<attend::Variable<S, 0>> terms;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const auto& y = outputs_[i];
    const std::string suffix = several ? "." + std::to_string(i) : "";
    const Flat expected = golden_.read("output" + suffix);
    EXPECT_EQ(y.shape, expected.shape) << "shape of output" << suffix;
    compare("output" + suffix, y.flat.data(), static_cast<std::size_t>(y.flat.size()));
    if (y.shape != expected.shape || !golden_.has("grad_output" + suffix)) continue;
    const Flat g = golden_.read("grad_output" + suffix);
    terms.push_back(inner(y.flat, as<S>(g.values)));
  }
  if (terms.empty()) return;
  ASSERT_LE(terms.size(), 3u);
  const auto last = terms.back();
  const auto gradients = terms.size() == 1   ? tape_.backward(last)
                         : terms.size() == 2 ? tape_.backward({{terms[0]}, {last}})
                                             : tape_.backward({{terms[0]}, {terms[1]}, {last}});
  std::size_t compared = 0;
  for (const auto& [i, v] : inputs_) {
    const auto found = gradients.of(v);
    compare("grad.input." + std::to_string(i), found.data(), static_cast<std::size_t>(found.size()));
    ++compared;
  }
  EXPECT_EQ(compared, golden_.names("grad.input.").size()) << "number of differentiated inputs";
  for (const auto& p : parameters_) {
    if (p->kind() != attend::Kind::parameter) continue;
    const S* found = gradients.find(*p.data);
    const std::vector<S> zeros(static_cast<std::size_t>(p->size()), S(0));
    compare("grad.param." + p.name, found ? found : zeros.data(), zeros.size());
  }
  compare_buffers(gradients);
}

template <class S>
void Run<S>::compare_buffers(const attend::Gradients<S>& gradients) const {
  attend::store_moments(parameters_, gradients);
  for (const std::string& name : golden_.names("after."))
    for (const auto& p : parameters_)
      if (p.name == name) compare("after." + name, p->data(), static_cast<std::size_t>(p->size()));
}

template class Run<double>;
template class Run<float>;

Cases::Cases(const std::string& family, std::vector<Named> cases) {
  for (auto& named : cases) {
    if (!Registry::get().compared[family].insert(named.name).second)
      throw std::logic_error(family + "/" + named.name + " is registered twice");
    testing::RegisterTest(("Parity_" + family).c_str(), named.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [family, named]() -> GoldenTest* { return new GoldenTest(family, named); });
  }
}
Absent::Absent(const std::string& family, const std::vector<std::string>& names, const std::string&) {
  Registry::get().absent[family].insert(names.begin(), names.end());
}

/// What a run reports as wrong, one line each.
template <class F>
std::string complaints(const std::string& family, const std::string& name, const F& f) {
  ::testing::TestPartResultArray results;
  {
    testing::ScopedFakeTestPartResultReporter reporter(&results);
    const Case golden(family, name);
    run_once<double>(golden, {}, f);
  }
  std::string all;
  for (int i = 0; i < results.size(); ++i) all += std::string(results.GetTestPartResult(i).message()) + "\n";
  return all;
}
struct Empty : attend::Layer<Empty> {};

TEST(Parity, NoticesWhatIsWrong) {
  const auto wrong =
      complaints("activation", "relu", [](golden::Run<double>& run) {  // x itself in place of its positive part
        run.output(run.input<3>(0));
        run.finish();
      });
  EXPECT_NE(wrong.find("output: of 105 numbers"), std::string::npos) << wrong;
  EXPECT_NE(wrong.find("grad.input.0: of 105 numbers"), std::string::npos) << wrong;
  const auto transposed = complaints("activation", "relu", [](golden::Run<double>& run) {
    run.output(run.input<3>(0).reshape(attend::Shape<3>{5, 3, 7}));
    run.finish();
  });
  EXPECT_NE(transposed.find("shape of output"), std::string::npos) << transposed;
  const auto lost = complaints("dense", "rows", [](golden::Run<double>& run) {
    Empty model;
    run.load(model);
    run.output(run.tape().input(run.tensor<2>("output")));
    run.finish();
  });
  EXPECT_NE(lost.find("PyTorch's module has param.weight, which the layer has not"), std::string::npos) << lost;
  EXPECT_NE(lost.find("number of differentiated inputs"), std::string::npos) << lost;
}

TEST(Parity, EveryGoldenIsComparedOrNamedAsAbsent) {
  std::size_t compared = 0, of_timm = 0, derived = 0, absent = 0;
  for (const auto& family : Case::families())
    for (const auto& name : Case::in_family(family)) {
      const bool is_compared = Registry::get().compared[family].count(name) > 0;
      const bool is_absent = Registry::get().absent[family].count(name) > 0;
      EXPECT_NE(is_compared, is_absent) << family << "/" << name << (is_compared ? " is both" : " is not compared");
      compared += is_compared, absent += is_absent;
      const auto origin = metadata_of(family, name).at("origin").get<std::string>();
      const auto is_of = [&](const char* project) { return is_compared && origin.rfind(project, 0) == 0; };
      of_timm += is_of("timm") || is_of("torchvision"), derived += is_of("derived");
    }
  EXPECT_GE(compared, 150u);
  std::cout << compared << " goldens compared, " << of_timm << " of them of timm and torchvision, " << derived
            << " of computations derived from papers, " << absent << " without a counterpart\n";
}

}  // namespace golden
