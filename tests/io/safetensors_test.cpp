#include "attend/io/safetensors.hpp"

#include <gtest/gtest.h>

#include "attend/autograd/layer.hpp"
#include "io/temporary_folder.hpp"
#include "shared_data.hpp"

namespace safetensors_test {
namespace {
using namespace attend;

/// Two dense-like layers, and the buffers of a batch norm.
template <class S>
struct Norm : Layer<Norm<S>> {
  Parameter<S, 1> weight, running_mean;
  Parameter<S, 0> num_batches_tracked;
  explicit Norm(Index n)
      : weight({n}, S(1)), running_mean({n}, S(0), Kind::buffer), num_batches_tracked({}, S(0), Kind::buffer) {}
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("running_mean", self.running_mean);
    visit("num_batches_tracked", self.num_batches_tracked);
  }
};
template <class S>
struct Net : Layer<Net<S>> {
  using Scalar = S;
  Parameter<S, 2> weight;
  std::vector<Norm<S>> norms;
  explicit Net(Index in = 3, std::size_t count = 2) : weight({4, in}) {
    for (std::size_t i = 0; i < count; ++i) norms.emplace_back(4);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("norms", self.norms);
  }
};
template <class S>
void fill(Net<S>& net, int seed) {
  int next = seed;
  for (const auto& p : parameters<S>(net)) {
    auto values = p->edit_flat();
    for (Index i = 0; i < values.size(); ++i) values(i) = static_cast<S>(next++) / (p->shape().empty() ? 1 : 3);
  }
}
template <class S, class T>
bool same(const Net<S>& a, const Net<T>& b) {
  const auto as = parameters<S>(a);
  const auto bs = parameters<T>(b);
  bool equal = as.size() == bs.size();
  for (std::size_t i = 0; equal && i < as.size(); ++i)
    for (Index k = 0; k < as[i]->size(); ++k) equal = equal && as[i]->data()[k] == static_cast<S>(bs[i]->data()[k]);
  return equal;
}

TEST(Safetensors, round_trip_of_types_shapes_names_and_metadata) {
  const TemporaryFolder folder;
  SafetensorsWriter writer;
  Tensor<double, 2> matrix(2, 3);
  matrix.setValues({{1, -2, 1e300}, {0.1, 0, -0.0}});
  Tensor<std::int64_t, 0> scalar;
  scalar() = std::numeric_limits<std::int64_t>::min();
  Tensor<bool, 1> flags(3);
  flags.setValues({true, false, true});
  Tensor<std::uint8_t, 4> empty(2, 0, 3, 1);
  Tensor<float, 1> half(3);
  half.setValues({1.5f, -0.1f, 65504.0f});
  Tensor<std::int16_t, 1> odd(3);
  odd.setValues({-32768, 7, 32767});
  writer.add("m.weight", matrix).add("counter", scalar).add("flags", flags).add("empty", empty).add("odd", odd);
  writer.add("half", half, Dtype::F16).add("bfloat", half, Dtype::BF16).add("quote \" \\ \xc3\xa4", half).add("", half);
  writer.metadata("format", "pt").metadata("two", "lines\nand \"quotes\"");
  writer.write(folder / "x.safetensors");
  for (const bool map : {false, true}) {
    SafetensorsOptions options;
    options.memory_map = map;
    const SafetensorsFile file(folder / "x.safetensors", options);
    EXPECT_EQ(file.names().size(), 9u);
    EXPECT_EQ(file.metadata().at("format"), "pt");
    EXPECT_EQ(file.metadata().at("two"), "lines\nand \"quotes\"");
    EXPECT_EQ(file.dtype("m.weight"), Dtype::F64);
    EXPECT_EQ(file.shape("empty"), (std::vector<Index>{2, 0, 3, 1}));
    const auto m = file.tensor<double, 2>("m.weight");
    EXPECT_EQ(std::memcmp(m.data(), matrix.data(), 48), 0);
    EXPECT_EQ((file.tensor<std::int64_t, 0>("counter")()), scalar());
    EXPECT_EQ((file.tensor<bool, 1>("flags")(2)), true);
    EXPECT_EQ((file.tensor<bool, 1>("flags")(1)), false);
    EXPECT_EQ((file.tensor<std::uint8_t, 4>("empty").size()), 0);
    EXPECT_EQ(file.flat<float>("odd")(0), -32768.0f);
    EXPECT_EQ(file.dtype("half"), Dtype::F16);
    EXPECT_EQ(file.flat<float>("half")(2), 65504.0f);
    EXPECT_NEAR(file.flat<float>("half")(1), -0.1f, 0.1f / 2048);
    EXPECT_NEAR(file.flat<float>("bfloat")(1), -0.1f, 0.1f / 256);
    EXPECT_EQ(file.flat<float>("quote \" \\ \xc3\xa4")(0), 1.5f);
    EXPECT_TRUE(file.contains(""));
    EXPECT_FALSE(file.contains("weight"));
  }
  const std::string bytes = get_bytes(folder / "x.safetensors");
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8, 0);  // the data is aligned to 8
}

TEST(Safetensors, reads_what_the_reference_writer_writes) {
  // safetensors 0.4, Python: save_file({"b": np.float32([1, 2]), "a": np.int8([[3]])}, metadata={"k": "v"})
  const std::string header =
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"I8","shape":[1,1],"data_offsets":[8,9]}}   )";
  const TemporaryFolder folder;
  put_bytes(folder / "x", little(header.size(), 8) + header + std::string("\0\0\x80\x3f\0\0\0\x40\x03", 9));
  const SafetensorsFile file(folder / "x");
  EXPECT_EQ((file.tensor<float, 1>("b")(1)), 2.0f);
  EXPECT_EQ((file.tensor<int, 2>("a")(0, 0)), 3);
}

TEST(Safetensors, reads_a_real_model) {
  const auto path = shared_data("nano-gpt-sort/model.safetensors");
  if (!path) GTEST_SKIP() << "no shared data: set ATTEND_DATA to its folder";
  const SafetensorsFile file(*path);
  SafetensorsOptions options;
  options.memory_map = true;
  const SafetensorsFile mapped(*path, options);
  ASSERT_TRUE(file.contains("lm_head.weight"));
  EXPECT_EQ(file.shape("lm_head.weight"), (std::vector<Index>{3, 48}));
  for (const std::string& name : file.names()) {
    const auto values = file.flat<float>(name);
    EXPECT_EQ(std::memcmp(values.data(), mapped.flat<float>(name).data(), static_cast<std::size_t>(values.size()) * 4),
              0);
    for (Index i = 0; i < values.size(); ++i) ASSERT_TRUE(std::isfinite(values(i))) << name;
  }
}

TEST(SaveSafetensors, then_load_is_the_identity) {
  const TemporaryFolder folder;
  Net<float> net;
  fill(net, 1);
  save_safetensors(folder / "net", net, {{"epoch", "7"}});
  Net<float> other;
  const LoadReport report = load_safetensors(folder / "net", other);
  EXPECT_TRUE(same(net, other));
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.loaded.size(), 7u);
  const SafetensorsFile file(folder / "net");
  EXPECT_EQ(file.metadata().at("epoch"), "7");
  EXPECT_EQ(file.dtype("norms.1.num_batches_tracked"), Dtype::I64);  // as PyTorch has it
  EXPECT_TRUE(file.shape("norms.1.num_batches_tracked").empty());
  EXPECT_EQ(file.dtype("norms.0.running_mean"), Dtype::F32);
  for (const float odd : {0.5f, float(INFINITY), float(NAN)}) {  // no counter: stays what it is
    net.norms[0].num_batches_tracked.edit()() = odd;
    save_safetensors(folder / "odd", net);
    EXPECT_EQ(SafetensorsFile(folder / "odd").dtype("norms.0.num_batches_tracked"), Dtype::F32);
  }
  net.norms[0].num_batches_tracked.edit()() = other.norms[0].num_batches_tracked.value()();
  Net<double> wide;  // knows its scalar
  load_safetensors(folder / "net", wide);
  EXPECT_TRUE(same(net, wide));
  save_safetensors(folder / "wide", wide);
  EXPECT_EQ(SafetensorsFile(folder / "wide").dtype("weight"), Dtype::F64);
}

TEST(LoadSafetensors, strict_names_everything_that_is_wrong_and_loads_nothing) {
  const TemporaryFolder folder;
  Net<float> net;
  fill(net, 1);
  SafetensorsWriter writer;
  add_parameters(writer, net);
  Tensor<float, 1> extra(1);
  extra.setZero();
  writer.add("head.bias", extra).add("norms.2.weight", extra);
  writer.write(folder / "net");
  Net<float> other(5, 4);
  fill(other, 100);
  const Net<float> before(other);
  const std::string text = thrown<FileError>([&] { load_safetensors(folder / "net", other); });
  for (const char* part : {"does not fit the model; nothing was loaded:", "missing: norms.2.running_mean",
                           "missing: norms.3.weight", "missing: norms.3.num_batches_tracked", "unexpected: head.bias",
                           "mismatching: weight has shape (4, 3) in the file, (4, 5) in the model",
                           "mismatching: norms.2.weight has shape (1) in the file, (4) in the model"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  EXPECT_EQ(text.find("norms.0"), std::string::npos) << text;  // what fits is not mentioned
  EXPECT_TRUE(same(before, other));
}

TEST(LoadSafetensors, partial_loads_what_fits_and_reports_the_rest) {
  const TemporaryFolder folder;
  Net<float> net(3, 2), other(5, 3);
  fill(net, 1);
  fill(other, 100);
  const Net<float> before(other);
  save_safetensors(folder / "net", net);
  LoadOptions options;
  options.strict = false;
  const LoadReport report = load_safetensors(folder / "net", other, options);
  EXPECT_FALSE(report.complete());
  EXPECT_EQ(report.loaded.size(), 6u);
  EXPECT_EQ(report.missing,
            (std::vector<std::string>{"norms.2.weight", "norms.2.running_mean", "norms.2.num_batches_tracked"}));
  EXPECT_TRUE(report.unexpected.empty());
  ASSERT_EQ(report.mismatching.size(), 1u);
  EXPECT_EQ(report.mismatching[0].name, "weight");
  EXPECT_EQ(report.mismatching[0].in_file, (std::vector<Index>{4, 3}));
  EXPECT_EQ(report.mismatching[0].in_model, (std::vector<Index>{4, 5}));
  EXPECT_EQ(other.norms[1].running_mean.value()(2), net.norms[1].running_mean.value()(2));
  EXPECT_EQ(other.weight.value()(1, 1), before.weight.value()(1, 1));
  EXPECT_EQ(other.norms[2].weight.value()(1), before.norms[2].weight.value()(1));
  Net<float> small(3, 1);
  EXPECT_EQ(load_safetensors(folder / "net", small, options).unexpected.size(), 3u);
}

TEST(LoadSafetensors, finds_names_by_prefix_and_renaming) {
  const TemporaryFolder folder;
  Net<float> net(3, 1), other(3, 1);
  fill(net, 1);
  SafetensorsWriter writer;
  writer.add("backbone.matrix", net.weight.value()).add("backbone.bn.scale", net.norms[0].weight.value());
  writer.add("backbone.bn.running_mean", net.norms[0].running_mean.value());
  writer.add("backbone.bn.num_batches_tracked", net.norms[0].num_batches_tracked.value())
      .add("head.weight", net.weight.value());
  writer.write(folder / "net");
  LoadOptions options;
  options.prefix = "backbone.";
  options.rename = [](const std::string& name) {
    if (name == "weight") return std::string("matrix");
    if (name == "norms.0.weight") return std::string("bn.scale");
    return "bn" + name.substr(7);
  };
  const LoadReport report = load_safetensors(folder / "net", other, options);
  EXPECT_TRUE(report.complete());
  EXPECT_TRUE(same(net, other));
  options.prefix = "";
  const std::string text = thrown<FileError>([&] { load_safetensors(folder / "net", other, options); });
  EXPECT_NE(text.find("missing: norms.0.weight"), std::string::npos) << text;
  EXPECT_NE(text.find("unexpected: head.weight"), std::string::npos) << text;
}

/// One norm under two names, as PyTorch's modules may share one.
struct Shared : Layer<Shared> {
  Norm<float> norm{4};
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("query", self.norm);
    visit("key", self.norm);
  }
};
TEST(LoadSafetensors, a_shared_parameter_stands_under_one_or_all_of_its_names) {
  const TemporaryFolder folder;
  Shared net, other;
  net.norm.weight.edit()(2) = 7;
  net.norm.running_mean.edit()(1) = std::numeric_limits<float>::quiet_NaN();  // equal to itself, here
  save_safetensors(folder / "both", net);
  EXPECT_EQ(SafetensorsFile(folder / "both").names().size(), 6u);  // a state_dict
  const LoadReport report = load_safetensors(folder / "both", other);
  EXPECT_EQ(report.loaded.size(), 6u);
  EXPECT_EQ(other.norm.weight.value()(2), 7);

  for (const std::string name : {"query", "key"}) {
    SafetensorsWriter writer;
    add_parameters<float>(writer, net.norm, name + ".");
    writer.write(folder / name);
    Shared from_one;
    EXPECT_TRUE(load_safetensors(folder / name, from_one).complete());
    EXPECT_EQ(from_one.norm.weight.value()(2), 7);
  }

  SafetensorsWriter writer;
  add_parameters<float>(writer, net.norm, "query.");
  net.norm.weight.edit()(2) = 8;
  add_parameters<float>(writer, net.norm, "key.");
  writer.write(folder / "differing");
  Shared unchanged;
  const std::string text = thrown<FileError>([&] { load_safetensors(folder / "differing", unchanged); });
  EXPECT_NE(text.find("query.weight and key.weight are one parameter of the model, and have different values"),
            std::string::npos)
      << text;
  EXPECT_EQ(unchanged.norm.weight.value()(2), 1);
  LoadOptions options;
  options.strict = false;
  const LoadReport lenient = load_safetensors(folder / "differing", unchanged, options);
  ASSERT_EQ(lenient.conflicting.size(), 1u);
  EXPECT_EQ(lenient.conflicting[0].second, "key.weight");
  EXPECT_EQ(lenient.loaded.size(), 5u);
  EXPECT_EQ(unchanged.norm.weight.value()(2), 7);  // the first name's

  SafetensorsWriter().add("query.weight", net.norm.weight.value()).write(folder / "part");
  const std::string missing = thrown<FileError>([&] { load_safetensors(folder / "part", unchanged); });
  EXPECT_NE(missing.find("missing: query.running_mean"), std::string::npos) << missing;
  EXPECT_EQ(missing.find("missing: key.weight"), std::string::npos) << missing;
}

TEST(LoadSafetensors, a_value_that_does_not_convert_changes_nothing) {
  const TemporaryFolder folder;
  Net<double> wide(3, 1);
  fill(wide, 1);
  wide.norms[0].running_mean.edit()(2) = 1e200;
  save_safetensors(folder / "net", wide);
  Net<float> net(3, 1);
  fill(net, 50);
  const Net<float> before(net);
  const std::string text = thrown<FileError>([&] { load_safetensors(folder / "net", net); });
  EXPECT_NE(text.find("tensor \"norms.0.running_mean\" has type F64; element 2 does not fit F32"), std::string::npos)
      << text;
  EXPECT_TRUE(same(before, net));
}

TEST(LoadSafetensors, leaves_live_variables_as_they_are) {
  const TemporaryFolder folder;
  Net<float> net(3, 1), other(3, 1);
  fill(net, 1);
  fill(other, 100);
  save_safetensors(folder / "net", net);
  Tape<float> tape(Mode::evaluation);
  const auto x = tape.input(Tensor<float, 1>(1));
  const Variable<float, 2> live = other.weight.on(x);
  const float before = live.data()[5];
  const auto version = other.weight.version();
  load_safetensors(folder / "net", other);
  EXPECT_EQ(live.data()[5], before);
  EXPECT_EQ(other.weight.value()(1, 2), net.weight.value()(1, 2));
  EXPECT_GT(other.weight.version(), version);
}

TEST(BadInput, safetensors_writer_and_reader_say_what_is_wrong) {
  const TemporaryFolder folder;
  Tensor<float, 2> x(2, 3);
  x.setZero();
  SafetensorsWriter writer;
  writer.add("x", x);
  EXPECT_NE(thrown<OptionError>([&] { writer.add("x", x); }).find("\"x\" is given twice"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { writer.add("__metadata__", x); }).find("reserved"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { writer.add("a\nb", x); }).find("control character"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { writer.add("\xff", x); }).find("is not valid UTF-8"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { writer.metadata("k", "\xff"); }).find("is not valid UTF-8"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { writer.add("y", x, Dtype::I32); }).find("F32 is not stored as I32"),
            std::string::npos);
  writer.write(folder / "x");
  const SafetensorsFile file(folder / "x");
  EXPECT_NE(thrown<FileError>([&] { file.shape("y"); }).find("has no tensor \"y\" among its 1"), std::string::npos);
  EXPECT_NE(thrown<FileError>([&] {
              file.tensor<float, 3>("x");
            }).find("tensor \"x\" has shape (2, 3); rank 3 was asked for"),
            std::string::npos);
  EXPECT_NE(thrown<FileError>([&] { file.tensor<int, 2>("x"); }).find("has type F32; it cannot be read as I32"),
            std::string::npos);
}
}  // namespace
}  // namespace safetensors_test
