#pragma once
#include <optional>

#include "attend/autograd/layer.hpp"

ATTEND_BEGIN
namespace detail {
template <class L, class V, class = void>
struct HasPlus : std::false_type {};
template <class L, class V>
struct HasPlus<
    L, V,
    std::void_t<decltype(std::declval<const L&>().plus(std::declval<const V&>(), std::declval<const V&>(), true))>>
    : std::true_type {};
}  // namespace detail

namespace detail {
template <class L, class = void>
struct StartsAsIdentity : std::false_type {};
template <class L>
struct StartsAsIdentity<L, std::void_t<typename L::StartsAsIdentity>> : std::true_type {};
}  // namespace detail

/// A layer chosen at run time, from rank to rank; copies are deep; empty, it passes its input on. It adds nothing to
/// the path of the layer it holds. The library's only virtual functions are here.
template <class S, int R>
class AnyLayer : public Layer<AnyLayer<S, R>> {
 public:
  using Erased = void;
  AnyLayer() = default;
  template <class L, std::enable_if_t<std::is_base_of_v<Layer<L>, L> && !std::is_same_v<L, AnyLayer>, int> = 0>
  AnyLayer(L layer) : held_(std::make_unique<Holds<L>>(std::move(layer))) {}
  AnyLayer(const AnyLayer& o) : Layer<AnyLayer>(), held_(o.held_ ? o.held_->clone() : nullptr) {}
  AnyLayer(AnyLayer&&) noexcept = default;
  AnyLayer& operator=(AnyLayer o) noexcept {
    held_.swap(o.held_);
    return *this;
  }

  bool empty() const { return !held_; }
  /// Does it, as its constructor made it, give what it is given? Layers that do say so: `using StartsAsIdentity = void;`
  bool starts_as_identity() const { return !held_ || held_->starts_as_identity; }
  Variable<S, R> forward(const Variable<S, R>& x) const { return held_ ? held_->forward(x) : x; }
  /// Does it hold a layer?
  explicit operator bool() const { return held_ != nullptr; }
  /// forward(x) + shortcut, with max(., 0) if `relu`, as the layer held computes it in one pass (its `plus(x, shortcut,
  /// relu)`); nothing if it has no such way, and where something is recorded.
  std::optional<Variable<S, R>> plus(const Variable<S, R>& x, const Variable<S, R>& shortcut, bool relu) const {
    if (!held_ || x.link() || shortcut.link() || x.shape() != shortcut.shape()) return std::nullopt;
    return held_->plus(x, shortcut, relu);
  }
  void walk_held(Walk<const S>& found, const std::string& path) const {
    if (held_) held_->walk(found, path);
  }
  void walk_held(Walk<void>& found, const std::string& path) const {
    if (held_) held_->walk(found, path);
  }

 private:
  struct Held {
    explicit Held(bool identity) : starts_as_identity(identity) {}
    virtual ~Held() = default;
    virtual std::unique_ptr<Held> clone() const = 0;
    virtual Variable<S, R> forward(const Variable<S, R>& x) const = 0;
    virtual std::optional<Variable<S, R>> plus(const Variable<S, R>&, const Variable<S, R>&, bool) const = 0;
    virtual void walk(Walk<const S>& found, const std::string& path) const = 0;
    virtual void walk(Walk<void>& found, const std::string& path) const = 0;
    const bool starts_as_identity;
  };
  template <class L>
  struct Holds final : Held {
    explicit Holds(L l) : Held(detail::StartsAsIdentity<L>::value), layer(std::move(l)) {}
    std::unique_ptr<Held> clone() const override { return std::make_unique<Holds>(layer); }
    Variable<S, R> forward(const Variable<S, R>& x) const override { return layer(x); }
    std::optional<Variable<S, R>> plus(const Variable<S, R>& x, const Variable<S, R>& shortcut,
                                       bool relu) const override {
      if constexpr (detail::HasPlus<L, Variable<S, R>>::value) try {
          return layer.plus(x, shortcut, relu);
        } catch (const Error&) {  // forward throws it again, with the layer's name
        }
      return std::nullopt;
    }
    void walk(Walk<const S>& found, const std::string& path) const override { attend::walk(found, layer, path); }
    void walk(Walk<void>& found, const std::string& path) const override { attend::walk(found, layer, path); }
    L layer;
  };
  std::unique_ptr<Held> held_;
};

ATTEND_END
