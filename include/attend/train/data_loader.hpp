#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <optional>

#include "attend/core/rng.hpp"
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN

/// What a loader reads: `load(i, into)` writes sample i's values, of `shape`, and returns its label. It is called on
/// the loading thread, one call at a time.
template <class S, int R, class Label = int>
struct Dataset {
  Index size = 0;
  Shape<R - 1> shape{};
  std::function<Label(Index sample, S* into)> load;
};

/// The samples along the first axis of two tensors, which the dataset keeps (move them in to avoid a copy).
template <class S, int R, class Label>
Dataset<S, R, Label> dataset_of(Tensor<S, R> inputs, Tensor<Label, 1> labels) {
  require(inputs.dimension(0) == labels.size(), "dataset_of", [&] {
    return message("labels have shape ", shape_of(labels), "; inputs ", shape_of(inputs),
                   " need one label for each of their first axis");
  });
  Dataset<S, R, Label> dataset;
  dataset.size = labels.size();
  const Shape<R> whole = shape_of(inputs);
  std::copy(whole.begin() + 1, whole.end(), dataset.shape.begin());
  dataset.load = [row = element_count(dataset.shape), values = std::make_shared<const Tensor<S, R>>(std::move(inputs)),
                  kept = std::make_shared<const Tensor<Label, 1>>(std::move(labels))](Index i, S* into) {
    std::copy_n(values->data() + i * row, row, into);
    return kept->data()[i];
  };
  return dataset;
}

struct DataLoaderOptions {
  Index batch_size = 1;
  bool shuffle = true;     ///< a new order in every epoch
  bool drop_last = false;  ///< leave out a last batch that is not full
  Index prefetch = 2;      ///< batches loaded ahead on a thread of the loader's; 0: none, loaded when asked for
};

template <class S, int R, class Label = int>
struct Batch {
  Tensor<S, R> inputs;         ///< (batch, ...)
  Tensor<Label, 1> labels;     ///< (batch)
  std::vector<Index> samples;  ///< which of the dataset
  Index number = 0;            ///< in its epoch, from 0
  Index size() const { return labels.size(); }
};

/// Shuffled batches, loaded ahead on a thread, each sample changed by an optional augmentation.
///
///   DataLoader loader(dataset_of(images, labels), {.batch_size = 128}, rng,
///                     [](auto image, Rng& draw) { horizontal_flip(image, draw); });
///   for (Index epoch = 0; epoch < 10; ++epoch)
///     for (const auto& batch : loader.epoch(epoch)) ...
///
/// The order of epoch e, and the random numbers of sample i in it, are functions of (rng, e, i) alone: any epoch can be
/// had again, from any batch on, whatever was loaded before, with or without the thread.
template <class S, int R, class Label = int>
class DataLoader {
 public:
  using Batch = attend::Batch<S, R, Label>;
  /// Changes one sample in place. Called on the loading thread, one call at a time.
  using Augmentation = std::function<void(Eigen::TensorMap<Tensor<S, R - 1>> sample, Rng& rng)>;
  class Epoch;

  /// Takes a stream of `rng`. Throws OptionError: an option out of range.
  DataLoader(Dataset<S, R, Label> dataset, const DataLoaderOptions& options, Rng& rng, Augmentation augmentation = {})
      : plan_(std::make_shared<Plan>(Plan{std::move(dataset), options, rng.split(), std::move(augmentation)})) {
    const auto check = [](const char* what, Index value, Index least) {
      require<OptionError>(value >= least, "DataLoader",
                           [&] { return message(what, " is ", value, "; it must be at least ", least); });
    };
    check("batch_size", options.batch_size, 1);
    check("prefetch", options.prefetch, 0);
    check("the dataset's size", plan_->dataset.size, 0);
    element_count(plan_->dataset.shape);
    require<OptionError>(static_cast<bool>(plan_->dataset.load), "DataLoader",
                         [] { return "the dataset's load is empty; it reads a sample"; });
  }

  Index size() const { return plan_->dataset.size; }
  /// Batches of an epoch.
  Index batches() const { return plan_->batches(); }
  /// The batches of epoch `number` from `first_batch` on, to go through once. An exception of the dataset or the
  /// augmentation comes out where its batch would have.
  Epoch epoch(Index number, Index first_batch = 0) const { return Epoch(plan_, number, first_batch); }

 private:
  struct Plan {
    Dataset<S, R, Label> dataset;
    DataLoaderOptions options;
    Rng rng;
    Augmentation augmentation;

    Index batches() const {
      return options.drop_last ? dataset.size / options.batch_size
                               : dataset.size / options.batch_size + (dataset.size % options.batch_size != 0);
    }
    /// Two independent streams of the epoch: for its order, and one to draw the samples' streams from.
    Rng stream(Index epoch, std::size_t which) const { return stream_of(rng, epoch, which); }
    static Rng stream_of(const Rng& from, Index number, std::size_t which) {
      const auto words = from.block(static_cast<std::uint64_t>(number));
      return Rng(std::uint64_t(words[2 * which]) << 32 | words[2 * which + 1]);
    }
    std::vector<Index> order(Index epoch) const {
      if (options.shuffle) return stream(epoch, 0).permutation(dataset.size);
      std::vector<Index> order(static_cast<std::size_t>(dataset.size));
      std::iota(order.begin(), order.end(), Index(0));
      return order;
    }
    Batch load(const std::vector<Index>& order, const Rng& samples, Index number) const {
      const Index first = number * options.batch_size, count = std::min(options.batch_size, dataset.size - first);
      Batch batch;
      batch.number = number;
      batch.samples.assign(order.begin() + first, order.begin() + first + count);
      Shape<R> shape{};
      shape[0] = count;
      std::copy(dataset.shape.begin(), dataset.shape.end(), shape.begin() + 1);
      element_count(shape);
      batch.inputs.resize(shape);
      batch.labels.resize(count);
      const Index row = element_count(dataset.shape);
      for (Index i = 0; i < count; ++i) {
        const Index sample = batch.samples[static_cast<std::size_t>(i)];
        S* at = batch.inputs.data() + i * row;
        batch.labels.data()[i] = dataset.load(sample, at);
        if (!augmentation) continue;
        Rng draw = stream_of(samples, sample, 0);
        augmentation(Eigen::TensorMap<Tensor<S, R - 1>>(at, dataset.shape), draw);
      }
      return batch;
    }
  };

 public:
  /// One pass over the data. Leaving it early, by break or an exception, stops the loading.
  class Epoch {
   public:
    Epoch(const Epoch&) = delete;
    Epoch& operator=(const Epoch&) = delete;
    ~Epoch() {
      if (!thread_.joinable()) return;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = true;
      }
      changed_.notify_all();
      thread_.join();
    }

    /// Empty at the end.
    std::optional<Batch> next() {
      if (given_ >= plan_->batches()) return std::nullopt;
      if (!thread_.joinable()) {
        std::optional<Batch> batch(plan_->load(order_, samples_, given_));
        ++given_;
        return batch;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !ready_.empty() || error_; });
      if (ready_.empty()) std::rethrow_exception(error_);
      std::optional<Batch> batch(std::move(ready_.front()));
      ready_.pop_front();
      ++given_;
      lock.unlock();
      changed_.notify_all();
      return batch;
    }

    class Iterator {
     public:
      using iterator_category = std::input_iterator_tag;
      using value_type = Batch;
      using difference_type = std::ptrdiff_t;
      using pointer = Batch*;
      using reference = Batch&;
      explicit Iterator(Epoch* epoch) : epoch_(epoch) {
        if (epoch_) ++*this;
      }
      Batch& operator*() const { return *epoch_->current_; }
      Iterator& operator++() {
        epoch_->current_ = epoch_->next();
        if (!epoch_->current_) epoch_ = nullptr;
        return *this;
      }
      bool operator!=(const Iterator& o) const { return epoch_ != o.epoch_; }
      bool operator==(const Iterator& o) const { return epoch_ == o.epoch_; }

     private:
      Epoch* epoch_;
    };
    Iterator begin() { return Iterator(this); }
    Iterator end() { return Iterator(nullptr); }

   private:
    friend class DataLoader;
    Epoch(std::shared_ptr<const Plan> plan, Index number, Index first_batch)
        : plan_(std::move(plan)), samples_(plan_->stream(std::max<Index>(number, 0), 1)), given_(first_batch) {
      require<OptionError>(number >= 0, "DataLoader",
                           [&] { return message("epoch is ", number, "; it must be at least 0"); });
      require<OptionError>(first_batch >= 0 && first_batch <= plan_->batches(), "DataLoader", [&] {
        return message("first_batch is ", first_batch, "; an epoch has ", plan_->batches(), " batches");
      });
      order_ = plan_->order(number);
      if (plan_->options.prefetch == 0 || given_ >= plan_->batches()) return;
      try {
        thread_ = detail::quiet_thread([this, first_batch] { load_ahead(first_batch); });
      } catch (const std::system_error&) {  // no more threads: load when asked
      }
    }
    void load_ahead(Index batch) {
      try {
        for (; batch < plan_->batches(); ++batch) {
          {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock,
                          [this] { return stopped_ || static_cast<Index>(ready_.size()) < plan_->options.prefetch; });
            if (stopped_) return;
          }
          Batch loaded = plan_->load(order_, samples_, batch);
          const std::lock_guard<std::mutex> lock(mutex_);
          ready_.push_back(std::move(loaded));
          changed_.notify_all();
        }
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        error_ = std::current_exception();
        changed_.notify_all();
      }
    }

    std::shared_ptr<const Plan> plan_;
    std::vector<Index> order_;
    Rng samples_;
    Index given_;
    std::optional<Batch> current_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Batch> ready_;
    std::exception_ptr error_;
    bool stopped_ = false;
    std::thread thread_;
  };

 private:
  std::shared_ptr<const Plan> plan_;
};

template <class S, int R, class Label, class Augmentation>
DataLoader(Dataset<S, R, Label>, const DataLoaderOptions&, Rng&, Augmentation) -> DataLoader<S, R, Label>;

ATTEND_END
