#pragma once
/// How good predictions are. Functions take logits (or any scores) and labels as Tensors, TensorMaps or Variables.
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "attend/train/target.hpp"

ATTEND_BEGIN

/// How many rows have their label among the k largest scores. Of equal scores the first class counts as larger, as in
/// argmax; a row that scores its label NaN is wrong.  scores: (..., classes)  labels: (...)
template <class Scores, class Labels>
Index count_correct(const Scores& scores, const Labels& labels, Index k = 1) {
  const auto x = detail::as_target(scores);
  const auto y = detail::as_target(labels);
  using X = decltype(x);
  using Y = decltype(y);
  static_assert(
      std::is_integral_v<typename std::decay_t<Y>::Scalar> && std::decay_t<Y>::rank == std::decay_t<X>::rank - 1,
      "attend: labels are integers with one axis less than the scores");
  require(y.shape() == detail::without_last_axis<std::decay_t<X>::rank>(x.shape()), "accuracy",
          [&] { return message("labels have shape ", y.shape(), "; scores ", x.shape(), " need one per row"); });
  const Index classes = x.dim(-1);
  require<OptionError>(k >= 1 && (k <= classes || y.size() == 0), "accuracy",
                       [&] { return message("k is ", k, "; it must lie in [1, ", classes, "]"); });
  Index correct = 0;
  for (Index r = 0; r < y.size(); ++r) {
    const Index label = static_cast<Index>(y.data()[r]);
    require(label >= 0 && label < classes, "accuracy", [&] {
      return message("labels hold ", label, " at position ", r, "; labels must lie in [0, ", classes, ")");
    });
    const auto* row = x.data() + r * classes;
    Index before = 0;
    for (Index c = 0; c < classes; ++c) before += !(row[c] < row[label]) && (row[c] != row[label] || c < label);
    correct += row[label] == row[label] && before < k;
  }
  return correct;
}

/// The share of them; NaN for no rows.
template <class Scores, class Labels>
double accuracy(const Scores& scores, const Labels& labels, Index k = 1) {
  return static_cast<double>(count_correct(scores, labels, k)) / static_cast<double>(detail::as_target(labels).size());
}

/// The class with the largest score per row, the first of equals.  (..., classes) -> (...), as Tensor<Index>
template <class Scores>
auto argmax(const Scores& scores) {
  const auto x = detail::as_target(scores);
  constexpr int R = std::decay_t<decltype(x)>::rank;
  const Index classes = x.dim(-1);
  Tensor<Index, R - 1> best(detail::without_last_axis<R>(x.shape()));
  require(classes > 0 || best.size() == 0, "argmax", [&] { return message("scores have shape ", x.shape()); });
  for (Index r = 0; r < best.size(); ++r) {
    const auto* row = x.data() + r * classes;
    best.data()[r] = std::max_element(row, row + classes) - row;
  }
  return best;
}

/// A mean over batches of different sizes.
class RunningMean {
 public:
  /// `mean` of `count` things; adding none changes nothing, whatever their mean.
  void add(double mean, Index count = 1) {
    if (count > 0) sum_ += mean * static_cast<double>(count), count_ += count;
  }
  double mean() const { return sum_ / static_cast<double>(count_); }  ///< NaN before the first
  Index count() const { return count_; }
  void reset() { *this = RunningMean(); }

 private:
  double sum_ = 0;
  Index count_ = 0;
};

/// How often class a (row) was taken for class b (column).
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(Index classes) : counts_(checked(classes), classes) { counts_.setZero(); }

  void add(Index label, Index predicted, Index times = 1) {
    const auto check = [&](const char* what, Index c) {
      require(c >= 0 && c < classes(), "ConfusionMatrix",
              [&] { return message(what, " is ", c, "; it must lie in [0, ", classes(), ")"); });
    };
    check("label", label);
    check("predicted", predicted);
    counts_(label, predicted) += times;
  }
  /// The largest score of each row against its label.
  template <class Scores, class Labels>
  void add_batch(const Scores& scores, const Labels& labels) {
    const auto y = detail::as_target(labels);
    const auto predicted = argmax(scores);
    require(y.shape() == shape_of(predicted), "ConfusionMatrix",
            [&] { return message("labels have shape ", y.shape(), "; the scores need ", shape_of(predicted)); });
    for (Index r = 0; r < y.size(); ++r) add(static_cast<Index>(y.data()[r]), predicted.data()[r]);
  }

  Index classes() const { return counts_.dimension(0); }
  const Tensor<Index, 2>& counts() const { return counts_; }
  Index total() const {
    return sum([](Index, Index) { return true; });
  }
  double accuracy() const {
    return ratio(sum([](Index a, Index b) { return a == b; }), total());
  }
  /// Of those taken for c, the share that are c. NaN if there are none.
  double precision(Index c) const {
    return ratio(at(c, c), sum([c](Index, Index b) { return b == c; }));
  }
  /// Of those that are c, the share taken for c. NaN if there are none.
  double recall(Index c) const {
    return ratio(at(c, c), sum([c](Index a, Index) { return a == c; }));
  }
  /// Harmonic mean of both: 2 hits / (are c + taken for c).
  double f1(Index c) const {
    return ratio(2 * at(c, c),
                 sum([c](Index, Index b) { return b == c; }) + sum([c](Index a, Index) { return a == c; }));
  }

  /// Intersection over union: hits / (are c or taken for c). NaN if there are none.
  double iou(Index c) const {
    return ratio(at(c, c), sum([c](Index a, Index b) { return a == c || b == c; }));
  }
  /// Mean over the classes that occur, as a truth or as an answer; NaN without any.
  double mean_iou() const {
    RunningMean mean;
    for (Index c = 0; c < classes(); ++c)
      if (const double share = iou(c); !std::isnan(share)) mean.add(share);
    return mean.mean();
  }

  /// A table with the recall of each class in the last column. `names` is empty or has one name per class.
  void print(std::ostream& out, const std::vector<std::string>& names = {}) const {
    require<OptionError>(names.empty() || static_cast<Index>(names.size()) == classes(), "ConfusionMatrix",
                         [&] { return message("there are ", names.size(), " names for ", classes(), " classes"); });
    const auto name = [&](Index c) { return names.empty() ? to_string(c) : names[static_cast<std::size_t>(c)]; };
    std::size_t left = 5, cell = 1;
    for (Index a = 0; a < classes(); ++a) {
      left = std::max(left, name(a).size());
      for (Index b = 0; b < classes(); ++b) cell = std::max(cell, to_string(counts_(a, b)).size());
    }
    cell = std::max(cell, to_string(classes() - 1).size());
    const auto pad = [&](const std::string& text, std::size_t width) {
      out << std::string(width > text.size() ? width - text.size() : 0, ' ') << text;
    };
    pad("", left);
    for (Index b = 0; b < classes(); ++b) out << ' ', pad(to_string(b), cell);
    out << "  recall\n";
    for (Index a = 0; a < classes(); ++a) {
      pad(name(a), left);
      for (Index b = 0; b < classes(); ++b) out << ' ', pad(to_string(counts_(a, b)), cell);
      const double percent = std::round(recall(a) * 1000) / 10;
      std::string text = std::isnan(percent) ? "-" : to_string(percent);
      if (text.size() > 1) text = text.substr(0, text.find('.') + 2) + " %";
      out << "  ", pad(text, 6), out << '\n';
    }
  }

 private:
  static Index checked(Index classes) {
    require<OptionError>(classes >= 1 && classes <= 65536, "ConfusionMatrix",
                         [&] { return message("classes is ", classes, "; it must lie in [1, 65536]"); });
    return classes;
  }
  Index at(Index label, Index predicted) const {
    require(label >= 0 && label < classes() && predicted >= 0 && predicted < classes(), "ConfusionMatrix",
            [&] { return message("class ", label, " is not one of ", classes()); });
    return counts_(label, predicted);
  }
  template <class Counts>
  Index sum(const Counts& counts) const {
    Index sum = 0;
    for (Index a = 0; a < classes(); ++a)
      for (Index b = 0; b < classes(); ++b) sum += counts(a, b) ? counts_(a, b) : 0;
    return sum;
  }
  static double ratio(Index a, Index b) { return static_cast<double>(a) / static_cast<double>(b); }
  Tensor<Index, 2> counts_;
};

ATTEND_END
