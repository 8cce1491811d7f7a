#pragma once
#include "attend/train/binary_cross_entropy.hpp"

ATTEND_BEGIN

/// Which classes an image holds: 1 where any of its labels is the class.
/// labels: integers (batch, ...)  ->  (batch, classes). Labels equal to ignore_index count nothing (PyTorch-Encoding has
/// -1 for it). Throws OptionError without classes, ShapeError for any other label outside [0, classes).
template <class S = float, class Labels>
Tensor<S, 2> class_presence(const Labels& labels, Index classes, Index ignore_index = -100) {
  const auto given = detail::as_target(labels);
  static_assert(std::is_integral_v<typename decltype(given)::Scalar>, "attend: class_presence takes integer labels");
  require<OptionError>(classes > 0, "class_presence",
                       [&] { return message("classes = ", classes, " must be above 0"); });
  const Index batch = given.dim(0), each = batch == 0 ? 0 : given.size() / batch;
  Tensor<S, 2> present(batch, classes);
  present.setZero();
  for (Index i = 0; i < given.size(); ++i) {
    const Index label = static_cast<Index>(given.data()[i]);
    if (label == ignore_index) continue;
    require(label >= 0 && label < classes, "class_presence", [&] {
      return message("label ", label, " must lie in [0, ", classes, ") or be ignore_index = ", ignore_index);
    });
    present(i / each, label) = S(1);
  }
  return present;
}

/// The loss on what a scene holds (SE-loss; Zhang et al. 2018, section 3.2): binary cross-entropy of the class logits of
/// a ContextEncoding against the classes that its labels hold. EncNet is trained with, of a SegmentationNet that has an
/// auxiliary head,
///
///     const auto seen = model.with_auxiliary(tape.input(images));
///     const auto loss = cross_entropy(seen.output.logits, labels) + cross_entropy(seen.auxiliary, labels) * 0.4f +
///                       semantic_encoding_loss(seen.output.class_logits, labels) * 0.2f;
///
/// class_logits: (batch, classes)  labels: integers (batch, ...)  ->  ().  Throws as class_presence, ShapeError for
/// another batch.  The last term of PyTorch-Encoding's SegmentationLosses
template <class S, class Labels>
Variable<S, 0> semantic_encoding_loss(const Variable<S, 2>& class_logits, const Labels& labels,
                                      Index ignore_index = -100) {
  return binary_cross_entropy_with_logits(class_logits, class_presence<S>(labels, class_logits.dim(1), ignore_index));
}

ATTEND_END
