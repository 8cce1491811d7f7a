#include "attend/train/data_loader.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "attend/train/augmentation.hpp"

namespace data_loader_test {
using namespace attend;

namespace {
constexpr Index samples = 23;

/// Sample i is (i, i + 0.5), its label i % 4.
Dataset<float, 2> numbers(Index count = samples) {
  Tensor<float, 2> x(count, 2);
  Tensor<int, 1> y(count);
  for (Index i = 0; i < count; ++i) x(i, 0) = float(i), x(i, 1) = float(i) + 0.5f, y(i) = int(i % 4);
  return dataset_of(std::move(x), std::move(y));
}
void jitter(Eigen::TensorMap<Tensor<float, 1>> sample, Rng& rng) {
  for (Index i = 0; i < sample.size(); ++i) sample(i) += float(rng.uniform());
}
using Loader = DataLoader<float, 2>;

struct Seen {
  std::vector<Index> samples, sizes;
  std::vector<float> values;
  std::vector<int> labels;
  bool operator==(const Seen& o) const {
    return samples == o.samples && sizes == o.sizes && values == o.values && labels == o.labels;
  }
};
Seen all_of(const Loader& loader, Index epoch, Index first = 0) {
  Seen seen;
  for (const auto& batch : loader.epoch(epoch, first)) {
    EXPECT_EQ(batch.number, first + static_cast<Index>(seen.sizes.size()));
    EXPECT_EQ(batch.inputs.dimension(0), batch.size());
    seen.sizes.push_back(batch.size());
    seen.samples.insert(seen.samples.end(), batch.samples.begin(), batch.samples.end());
    seen.values.insert(seen.values.end(), batch.inputs.data(), batch.inputs.data() + batch.inputs.size());
    seen.labels.insert(seen.labels.end(), batch.labels.data(), batch.labels.data() + batch.labels.size());
  }
  return seen;
}

TEST(DataLoader, EverySampleOnceWithItsLabel) {
  Rng rng(1);
  const Loader loader(numbers(), {.batch_size = 5}, rng);
  EXPECT_EQ(loader.batches(), 5);
  for (Index epoch = 0; epoch < 3; ++epoch) {
    Seen seen = all_of(loader, epoch);
    EXPECT_EQ(seen.sizes, (std::vector<Index>{5, 5, 5, 5, 3}));
    for (std::size_t i = 0; i < seen.samples.size(); ++i) {
      EXPECT_EQ(seen.values[2 * i], float(seen.samples[i]));
      EXPECT_EQ(seen.labels[i], int(seen.samples[i] % 4));
    }
    std::sort(seen.samples.begin(), seen.samples.end());
    for (Index i = 0; i < samples; ++i) EXPECT_EQ(seen.samples[static_cast<std::size_t>(i)], i);
  }
  EXPECT_NE(all_of(loader, 0).samples, all_of(loader, 1).samples);
}

TEST(DataLoader, LastPartialBatchMayBeDropped) {
  Rng rng(1);
  const Loader loader(numbers(), {.batch_size = 5, .shuffle = false, .drop_last = true}, rng);
  EXPECT_EQ(loader.batches(), 4);
  const Seen seen = all_of(loader, 0);
  EXPECT_EQ(seen.sizes, (std::vector<Index>{5, 5, 5, 5}));
  EXPECT_EQ(seen.samples.back(), 19);
  EXPECT_EQ(Loader(numbers(3), {.batch_size = 5, .drop_last = true}, rng).batches(), 0);
  EXPECT_TRUE(all_of(Loader(numbers(3), {.batch_size = 5, .drop_last = true}, rng), 0).samples.empty());
  EXPECT_TRUE(all_of(Loader(numbers(0), {.batch_size = 5}, rng), 0).samples.empty());
  EXPECT_EQ(Loader(numbers(20), {.batch_size = 5}, rng).batches(), 4);
}

TEST(DataLoader, SameEpochWhateverIsLoadedAheadAndInWhateverOrder) {
  const auto make = [](Index prefetch) {
    Rng rng(7);
    return Loader(numbers(), {.batch_size = 4, .prefetch = prefetch}, rng, jitter);
  };
  const Loader plain = make(0);
  const Seen second = all_of(plain, 2), first = all_of(plain, 0);
  for (const Index prefetch : {1, 2, 50}) {
    const Loader loader = make(prefetch);
    EXPECT_TRUE(all_of(loader, 0) == first);
    EXPECT_TRUE(all_of(loader, 2) == second);
  }
  const int before = num_threads();
  for (const int n : {1, 4}) {
    set_num_threads(n);
    EXPECT_TRUE(all_of(make(2), 2) == second);
  }
  set_num_threads(before);
  Rng other(8);
  EXPECT_FALSE(all_of(Loader(numbers(), {.batch_size = 4}, other, jitter), 2) == second);
}

TEST(DataLoader, ASampleIsAugmentedAlikeInAnyBatch) {
  Rng rng(7), same(7);
  const Seen small = all_of(Loader(numbers(), {.batch_size = 2}, rng, jitter), 1);
  const Seen large = all_of(Loader(numbers(), {.batch_size = 11}, same, jitter), 1);
  EXPECT_EQ(small.values, large.values);
  EXPECT_NE(small.values[0], float(small.samples[0]));
}

TEST(DataLoader, ResumesInTheMiddleOfAnEpoch) {
  Rng rng(7);
  const Loader loader(numbers(), {.batch_size = 4}, rng, jitter);
  const Seen whole = all_of(loader, 3), rest = all_of(loader, 3, 2);
  EXPECT_EQ(std::vector<float>(whole.values.begin() + 16, whole.values.end()), rest.values);
  EXPECT_TRUE(all_of(loader, 3, loader.batches()).samples.empty());
}

TEST(DataLoader, ExceptionsComeOutWhereTheirBatchWouldHave) {
  for (const Index prefetch : {0, 1, 20}) {
    Rng rng(1);
    auto data = numbers();
    data.load = [inner = data.load](Index i, float* into) {
      if (i == 17) throw FileError("test", "sample 17 cannot be read");
      return inner(i, into);
    };
    const Loader loader(data, {.batch_size = 5, .shuffle = false, .prefetch = prefetch}, rng);
    auto epoch = loader.epoch(0);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(epoch.next().has_value());
    for (int i = 0; i < 2; ++i) EXPECT_THROW(epoch.next(), FileError) << prefetch;  // and again
  }
  Rng rng(1);
  const Loader loader(numbers(), {.batch_size = 5}, rng, [](auto, Rng&) { throw std::bad_alloc(); });
  EXPECT_THROW(all_of(loader, 0), std::bad_alloc);
}

TEST(DataLoader, LoadsAheadOfUseButNotTooFar) {
  auto data = numbers();
  auto loaded = std::make_shared<std::atomic<Index>>(0);
  data.load = [inner = data.load, loaded](Index i, float* into) {
    ++*loaded;
    return inner(i, into);
  };
  Rng rng(1);
  const Loader loader(data, {.batch_size = 1, .prefetch = 3}, rng);
  auto epoch = loader.epoch(0);
  for (int i = 0; i < 2000 && *loaded < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(*loaded, 3);  // nobody has asked yet
}

TEST(DataLoader, AbandonedEpochsStopAndTheLoaderMayGoFirst) {
  for (int round = 0; round < 50; ++round) {
    Rng rng(1);
    auto loader = std::make_unique<Loader>(numbers(), DataLoaderOptions{.batch_size = 2}, rng, jitter);
    auto epoch = loader->epoch(0);
    if (round % 3 > 0) {
      EXPECT_TRUE(epoch.next().has_value());
    }
    if (round % 3 > 1) loader.reset();
    if (round % 2) {
      for (const auto& batch : epoch)
        if (batch.number == 4) break;
    }
  }
}

TEST(DataLoader, AfterTheEndThereIsNothing) {
  Rng rng(1);
  const Loader loader(numbers(), {.batch_size = 20}, rng);
  auto epoch = loader.epoch(0);
  EXPECT_TRUE(epoch.next());
  EXPECT_TRUE(epoch.next());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(epoch.next());
}

TEST(DataLoader, AugmentsImagesInPlace) {
  Rng rng(1);
  Tensor<float, 4> images(2, 1, 3, 1);
  images.setValues({{{{1}, {2}, {3}}}, {{{4}, {5}, {6}}}});
  Tensor<std::uint8_t, 1> labels(2);
  labels.setValues({7, 8});
  const DataLoader loader(dataset_of(images, labels), {.batch_size = 2, .shuffle = false}, rng,
                          [](auto image, Rng& draw) { horizontal_flip(image, draw, 1); });
  for (const auto& batch : loader.epoch(0)) {
    EXPECT_EQ(batch.inputs(0, 0, 0, 0), 3);
    EXPECT_EQ(batch.inputs(1, 0, 2, 0), 4);
    EXPECT_EQ(batch.labels(1), 8);
  }
}

TEST(BadInput, DataLoader) {
  Rng rng(1);
  const Loader loader(numbers(), {.batch_size = 5}, rng);
  struct Row {
    const char* text;
    std::function<void()> make;
  };
  const std::vector<Row> rows = {
      {"batch_size is 0", [&] { Loader(numbers(), {.batch_size = 0}, rng); }},
      {"batch_size is -3", [&] { Loader(numbers(), {.batch_size = -3}, rng); }},
      {"prefetch is -1", [&] { Loader(numbers(), {.prefetch = -1}, rng); }},
      {"load is empty", [&] { Loader({.size = 3, .shape = {2}, .load = {}}, {}, rng); }},
      {"size is -1", [&] { Loader({.size = -1, .shape = {2}, .load = numbers().load}, {}, rng); }},
      {"negative or too large", [&] { Loader({.size = 1, .shape = {-2}, .load = numbers().load}, {}, rng); }},
      {"epoch is -1", [&] { (void)loader.epoch(-1); }},
      {"first_batch is 6; an epoch has 5", [&] { (void)loader.epoch(0, 6); }},
      {"first_batch is -1", [&] { (void)loader.epoch(0, -1); }},
      {"labels have shape (4); inputs (3, 2)", [] { dataset_of(Tensor<float, 2>(3, 2), Tensor<int, 1>(4)); }},
  };
  for (const Row& row : rows) try {
      row.make();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
}
}  // namespace
}  // namespace data_loader_test
