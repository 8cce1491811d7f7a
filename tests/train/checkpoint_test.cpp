#include "attend/train/checkpoint.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "attend/functional/dropout.hpp"
#include "attend/layers/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/dense.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/adam.hpp"
#include "attend/train/augmentation.hpp"
#include "attend/train/clip.hpp"
#include "attend/train/data_loader.hpp"
#include "attend/train/ema.hpp"
#include "attend/train/loss.hpp"
#include "attend/train/schedule.hpp"
#include "attend/train/sgd.hpp"

namespace checkpoint_test {
using namespace attend;
namespace fs = std::filesystem;

namespace {
struct Net : Layer<Net> {
  Dense<float> first, second;
  BatchNorm<float> norm{BatchNormOptions{.channels = 9}};
  explicit Net(Rng& rng, Index hidden = 9)
      : first({.in_features = 6, .out_features = hidden}, rng),
        second({.in_features = hidden, .out_features = 4}, rng),
        norm({.channels = hidden}) {}
  Variable<float, 2> forward(const Variable<float, 2>& x) const { return second(dropout(relu(norm(first(x))), 0.3)); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("first", self.first);
    visit("norm", self.norm);
    visit("second", self.second);
  }
};

Dataset<float, 2> data() {
  Tensor<int, 1> labels(40);
  for (Index i = 0; i < 40; ++i) labels(i) = int(i * 7 % 4);
  return dataset_of(attend::testing::random_tensor<float, 2>({40, 6}, 3), labels);
}

/// A run that can stop after any step: everything of it is in the checkpoint.
template <class Optimizer>
struct Run {
  Rng rng;
  Net net;
  Optimizer optimizer;
  Ema<float> average;
  DataLoader<float, 2> loader;
  int step = 0;
  double best = 0.5;
  bool finished = false;
  std::vector<double> losses;
  std::string note = "first";
  Checkpoint checkpoint;

  Run(std::uint64_t seed, const typename Optimizer::Options& options)
      : rng(seed),
        net(rng),
        optimizer(net, options),
        average(net, {.decay = 0.9, .warmup = true}),
        loader(data(), {.batch_size = 7}, rng,
               [](auto sample, Rng& draw) { sample(0) += static_cast<float>(draw.normal()); }) {
    checkpoint.add("model", net)
        .add("optimizer", optimizer)
        .add("average", average)
        .add("rng", rng)
        .add("step", step)
        .add("best", best)
        .add("finished", finished)
        .add("losses", losses)
        .add("note", note);
  }
  void go(int steps) {
    const CosineSchedule schedule({.learning_rate = 0.05, .total_steps = 40});
    const int end = step + steps;
    while (step < end) {
      for (const auto& batch : loader.epoch(step / loader.batches(), step % loader.batches())) {
        Tape<float> tape(Mode::training, rng);
        const auto loss = cross_entropy(net(tape.input(batch.inputs)), batch.labels, {.label_smoothing = 0.1});
        auto gradients = tape.backward(loss);
        clip_grad_norm(gradients, 1);
        optimizer.set_learning_rate(schedule.at(step));
        optimizer.step(net, gradients);
        average.update(net);
        losses.push_back(loss.item());
        if (++step == end) break;
      }
    }
  }
  /// Every bit of its state.
  std::map<std::string, std::vector<unsigned char>> bits() const {
    State state;
    for (const auto& p : parameters<float>(net)) state.put("model." + p.name, p->shape(), p->data(), p->size());
    optimizer.save(state, "optimizer");
    average.save(state, "average");
    state.put("rng", std::vector<std::uint64_t>{rng.state().key, rng.state().next});
    state.put("numbers", std::vector<double>{double(step), best, double(finished)});
    state.put("losses", losses);
    state.put("note", note);
    std::map<std::string, std::vector<unsigned char>> all;
    for (const auto& [name, array] : state.arrays()) all[name] = array.bytes;
    return all;
  }
};
using SgdRun = Run<Sgd<float>>;
using AdamRun = Run<AdamW<float>>;
const SgdOptions with_momentum{.momentum = 0.9, .weight_decay = 1e-3, .nesterov = true};

struct Folder {
  fs::path path = fs::temp_directory_path() / ("attend-checkpoint-test-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }
};
std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
template <class Run>
std::string refusal(const Run& run, const fs::path& path) {
  try {
    run.checkpoint.load(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

template <class Run, class Options>
void expect_same_run(const Options& options) {
  const Folder folder;
  Run whole(1, options);
  whole.go(17);
  for (const int stop : {1, 6, 11}) {  // 6 batches an epoch: in one and between two
    Run first(1, options);
    first.go(stop);
    first.note = "stopped";
    first.checkpoint.save(folder / "run.safetensors");
    Run second(1, options);  // the loader's stream comes from the seed
    second.go(2);            // whatever it was before
    for (const auto& p : parameters<float>(second.net))
      for (Index i = 0; i < p->size(); ++i) p->edit_flat()(i) += 1;
    second.checkpoint.load(folder / "run.safetensors");
    EXPECT_TRUE(second.bits() == first.bits());
    EXPECT_EQ(second.note, "stopped");
    second.go(17 - stop);
    second.note = whole.note;
    EXPECT_TRUE(second.bits() == whole.bits()) << stop;
  }
}

TEST(Checkpoint, AResumedRunIsTheSameBitForBit) {
  expect_same_run<SgdRun>(with_momentum);
  expect_same_run<AdamRun>(AdamWOptions{.amsgrad = true});
}

TEST(Checkpoint, ARunIsTheSameForAnyNumberOfThreads) {
  const int before = num_threads();
  set_num_threads(1);
  AdamRun one(1, {});
  one.go(50);
  for (const int n : {2, 4, 8}) {
    set_num_threads(n);
    AdamRun several(1, {});
    several.go(50);
    EXPECT_TRUE(several.bits() == one.bits()) << n;
  }
  set_num_threads(before);
}

TEST(Checkpoint, TheModelsWeightsAreOrdinarySafetensors) {
  const Folder folder;
  SgdRun run(1, with_momentum);
  run.go(3);
  run.checkpoint.save(folder / "run.safetensors");
  Rng rng(9);
  Net other(rng);
  load_safetensors(folder / "run.safetensors", other, {.prefix = "model."});
  const auto a = parameters<float>(run.net), b = parameters<float>(other);
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(std::equal(a[i]->data(), a[i]->data() + a[i]->size(), b[i]->data())) << a[i].name;
}

/// Its child has the name of what optimizers do with a state.
struct Staged : Layer<Staged> {
  explicit Staged(Rng& rng) : stage({.in_features = 2, .out_features = 2}, rng) {}
  Variable<float, 2> forward(const Variable<float, 2>& x) const { return stage(x); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("stage", self.stage);
  }
  Dense<float> stage;
};
TEST(Checkpoint, TakesAModelWithAChildNamedStage) {
  const Folder folder;
  Rng rng(9);
  Staged saved(rng), loaded(rng);
  Checkpoint().add("model", saved).save(folder / "x");
  Checkpoint().add("model", loaded).load(folder / "x");
  EXPECT_EQ(parameters<float>(saved)[0]->data()[0], parameters<float>(loaded)[0]->data()[0]);
}

TEST(Checkpoint, ADamagedFileIsRefusedWhole) {
  const Folder folder;
  SgdRun run(1, with_momentum);
  run.go(2);
  run.checkpoint.save(folder / "good");
  const std::string good = contents(folder / "good");
  run.go(2);
  const auto before = run.bits();
  int refused = 0;
  const auto expect_refused = [&](const std::string& bytes, const std::string& what) {
    put(folder / "bad", bytes);
    EXPECT_THROW(run.checkpoint.load(folder / "bad"), FileError) << what;
    ++refused;
  };
  for (std::size_t size = 0; size < good.size(); size += size < 24 ? 1 : 509)
    expect_refused(good.substr(0, size), "cut to " + std::to_string(size));
  expect_refused(good.substr(0, good.size() - 1), "cut by 1");
  expect_refused(good + '\0', "one byte more");
  const std::size_t data = 8 + [&] {
    std::uint64_t length;
    std::memcpy(&length, good.data(), 8);
    return length;
  }();
  for (std::size_t at = data; at < good.size(); at += 257) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    expect_refused(bytes, "bit flipped at " + std::to_string(at));
  }
  for (std::size_t at = 0; at < data; at += 41) {  // in the header: refused, or a change that says nothing (a space)
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 16);
    put(folder / "bad", bytes);
    EXPECT_NE(refusal(run, folder / "bad"), "") << at;
    ++refused;
  }
  EXPECT_GT(refused, 120);
  EXPECT_TRUE(run.bits() == before);
  put(folder / "bad", good);
  run.checkpoint.load(folder / "bad");
  EXPECT_FALSE(run.bits() == before);
}

TEST(Checkpoint, NothingIsWrittenHalf) {
  const Folder folder;
  SgdRun run(1, with_momentum);
  run.checkpoint.save(folder / "run");
  const std::string good = contents(folder / "run");
  run.go(1);
  EXPECT_THROW(run.checkpoint.save(folder / "none" / "run"), FileError);
  EXPECT_THROW(run.checkpoint.save(folder.path), FileError);
  if (fs::exists("/dev/full")) {
    EXPECT_THROW(run.checkpoint.save("/dev/full"), FileError);
  }
  EXPECT_EQ(contents(folder / "run"), good);
  run.checkpoint.save(folder / "run");
  EXPECT_NE(contents(folder / "run"), good);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()), 1);  // no temporary is left
}

TEST(BadInput, Checkpoint) {
  const Folder folder;
  SgdRun run(1, with_momentum);
  run.go(2);
  run.checkpoint.save(folder / "sgd");
  AdamRun adam(1, {});
  adam.go(1);
  adam.checkpoint.save(folder / "adam");
  AdamRun amsgrad(1, {.amsgrad = true});
  amsgrad.go(1);
  amsgrad.checkpoint.save(folder / "amsgrad");
  save_safetensors(folder / "weights", run.net);
  put(folder / "text", "this is no safetensors file at all");
  put(folder / "empty", "");

  Rng rng(5);
  Net wide(rng, 10);
  int number = 0;
  std::int8_t small = 0;
  std::string text;
  std::vector<double> list;
  std::uint64_t positive = 0;
  const auto save_number = [&](const std::string& file, auto value) {
    Checkpoint c;
    c.add("part", value);
    c.save(folder / file);
  };
  save_number("300", 300);
  save_number("-1", -1);
  save_number("0.5", 0.5);
  Checkpoint wide_model, missing, extra, one_more, one_small, one_text, one_list, one_positive, one_rng;
  wide_model.add("model", wide);
  missing.add("model", run.net).add("absent", number);
  extra.add("model", run.net);
  one_more.add("part", number);
  one_small.add("part", small);
  one_text.add("part", text);
  one_list.add("part", list);
  one_positive.add("part", positive);
  one_rng.add("part", rng);
  const auto own = [&](const Checkpoint& c, const char* file) { return [&c, path = folder / file] { c.load(path); }; };
  struct Row {
    const char* text;
    std::function<void()> call;
  };
  const std::vector<Row> rows = {
      {"nowhere", own(run.checkpoint, "nowhere")},
      {"directory", [&] { run.checkpoint.load(folder.path); }},
      {"0 bytes", own(run.checkpoint, "empty")},
      {"text", own(run.checkpoint, "text")},
      {"no checkpoint of this version", own(run.checkpoint, "weights")},
      {"holds the state of AdamW; this optimizer is Sgd", own(run.checkpoint, "adam")},
      {"holds the state of Sgd; this optimizer is AdamW", own(adam.checkpoint, "sgd")},
      {"no place for", own(adam.checkpoint, "amsgrad")},
      {"there is no \"optimizer.state.first.bias.max_exp_avg_sq\"", own(amsgrad.checkpoint, "adam")},
      {"\"model.first.weight\" has shape (9, 6); (10, 6) was expected", own(wide_model, "sgd")},
      {"there is no \"absent\"", own(missing, "sgd")},
      {"arrays that this run has no place for: \"average.average.first.bias\"", own(extra, "sgd")},
      {"part is 300, which does not fit", own(one_small, "300")},
      {"another type", own(one_text, "300")},
      {"another type", own(one_list, "300")},
      {"another type", own(one_positive, "-1")},
      {"another type", own(one_more, "0.5")},
      {"another type", own(one_rng, "300")},
  };
  const auto before = run.bits();
  for (const Row& row : rows) try {
      row.call();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const FileError& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
  EXPECT_TRUE(run.bits() == before);
  EXPECT_THROW(one_text.add("part", number), OptionError);
  EXPECT_THROW(one_text.add("", number), OptionError);
  SgdRun plain(1, {});  // without momentum
  EXPECT_THROW(plain.checkpoint.load(folder / "sgd"), Error);
}
}  // namespace
}  // namespace checkpoint_test
