#pragma once
#include <array>

#include "attend/functional/absent.hpp"
#include "attend/kernels/attention.hpp"

ATTEND_BEGIN

/// How heads lie inside the rows of a sequence.
struct HeadLayout {
  Index offset = 0, length = 0, row = 0, dim = 0, columns = 0;
  template <class T>
  HeadRows<T> rows(T* memory) const {
    return {memory ? memory + offset : nullptr, length * row, row, dim};
  }
};

/// Columns [offset, offset + heads * dim) of a sequence (B, L, C), read as heads (B, L, heads, dim) without a copy: the
/// query, key or value part of a packed projection. ShapeError if there are not as many.
template <class S>
struct HeadView {
  Variable<S, 3> source;
  Index offset = 0, heads = 0, dim = 0;

  HeadView(const Variable<S, 4>& x)  // all of it
      : source(x.reshape(Shape<3>{x.dim(0), x.dim(1), x.dim(2) * x.dim(3)})), heads(x.dim(2)), dim(x.dim(3)) {}
  HeadView(Variable<S, 3> sequence, Index first_column, Index num_heads, Index head_dim)
      : source(std::move(sequence)), offset(first_column), heads(num_heads), dim(head_dim) {
    const Index columns = source.dim(2);
    require(
        offset >= 0 && heads >= 0 && dim >= 0 && offset <= columns && (dim == 0 || heads <= (columns - offset) / dim),
        "head_view", [&] {
          return message("x has shape ", source.shape(), "; it must hold ", heads, " heads of ", dim, " from column ",
                         offset, " on");
        });
  }

  Shape<4> shape() const { return {source.dim(0), source.dim(1), heads, dim}; }
  bool whole() const { return heads * dim == source.dim(2); }
  HeadLayout layout() const { return {offset, source.dim(1), source.dim(2), dim, heads * dim}; }
};

/// Where the gradient of a part of a sequence goes.
struct HeadSlot {
  Slot slot;
  HeadLayout layout;
  bool same_value(const HeadSlot& o) const {
    return slot.node == o.slot.node && slot.differentiable && o.slot.differentiable;
  }
  bool overlaps(const HeadSlot& o) const {
    return layout.offset < o.layout.offset + o.layout.columns && o.layout.offset < layout.offset + layout.columns;
  }
};
/// For a closure that gives every element of three parts a term: first terms are stored where the parts of a value do
/// not overlap and are all of it.
template <class S>
std::array<HeadAccumulator<S>, 3> accumulate_heads(Pass<S>& pass, const std::array<HeadSlot, 3>& parts) {
  std::array<HeadAccumulator<S>, 3> to;
  std::array<Accumulator<S>, 3> whole;
  for (std::size_t i = 0; i < 3; ++i) {
    std::size_t first = i;  // part of the same value
    Index columns = 0;
    bool apart = true;
    for (std::size_t j = 3; j-- > 0;) {
      if (!parts[j].same_value(parts[i])) continue;
      first = j, columns += parts[j].layout.columns;
      for (std::size_t k = 0; k < j; ++k)
        apart = apart && !(parts[k].same_value(parts[j]) && parts[k].overlaps(parts[j]));
    }
    const auto& [slot, layout] = parts[i];
    if (first == i)
      whole[i] = apart && columns == layout.row ? pass.accumulate(slot) : Accumulator<S>{pass.add_to(slot)};
    to[i] = {layout.rows(whole[first].to), whole[first].empty};
  }
  return to;
}

/// As a Variable of its own, (B, L, heads, dim): the same value if it is all of the source, otherwise a copy. Saves
/// nothing.
template <class S>
Variable<S, 4> take_heads(const HeadView<S>& x) {
  if (x.whole()) return x.source.reshape(x.shape());
  Operation<S> op("take_heads", x.source);
  const auto y = op.result(x.shape());
  const Index rows = x.source.dim(0) * x.source.dim(1), width = x.heads * x.dim, row = x.source.dim(2),
              offset = x.offset;
  for (Index i = 0; i < rows; ++i) std::copy_n(x.source.data() + i * row + offset, width, op.data(y) + i * width);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x.source)](Pass<S>& pass) {
      S* g = pass.add_to(dx);
      for (Index i = 0; i < rows; ++i)
        for (Index c = 0; c < width; ++c) g[i * row + offset + c] += pass.of(dy)[i * width + c];
    });
  return y;
}

/// x (B, L, H, D) followed by one more position: `row` (1, 1, H * D) for all samples, or zeros where it is absent.  ->
/// (B, L + 1, H, D).  What PyTorch's add_bias_kv and add_zero_attn do to keys and values. Saves nothing.
template <class S>
Variable<S, 4> append_position(const Variable<S, 4>& x, const Variable<S, 3>& row) {
  Operation<S> op("append_position", x, row);
  const Index batch = x.dim(0), width = x.dim(2) * x.dim(3), length = x.dim(1) * width;
  op.require(!present(row) || row.size() == width, [&] {
    return message("row has shape ", row.shape(), "; it must hold the ", width, " numbers of a position of x ",
                   x.shape());
  });
  const auto y = op.result(Shape<4>{batch, x.dim(1) + 1, x.dim(2), x.dim(3)});
  for (Index b = 0; b < batch; ++b) {
    S* to = op.data(y) + b * (length + width);
    std::copy_n(x.data() + b * length, length, to);
    if (present(row))
      std::copy_n(row.data(), width, to + length);
    else
      std::fill_n(to + length, width, S(0));
  }
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dr = op.slot(row)](Pass<S>& pass) {
      S *gx = pass.add_to(dx), *gr = pass.add_to(dr);
      for (Index b = 0; b < batch; ++b) {
        const S* from = pass.of(dy) + b * (length + width);
        for (Index i = 0; gx && i < length; ++i) gx[b * length + i] += from[i];
        for (Index i = 0; gr && i < width; ++i) gr[i] += from[length + i];
      }
    });
  return y;
}

ATTEND_END
