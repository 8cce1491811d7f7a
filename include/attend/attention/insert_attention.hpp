#pragma once
#include "attend/attention/identity_start.hpp"
#include "attend/core/nearest_names.hpp"

ATTEND_BEGIN

/// Puts an attention into an empty slot of a network that is there already, for instance trained: the slot is the
/// `AnyLayer<S, 4>` at the dotted name `where`, as in a residual block, and the attention begins as the identity
/// (IdentityStart), so that the network's outputs are at first what they were, bit for bit.
///
///     load_safetensors("resnet.safetensors", net);
///     insert_attention<float>(net, "layer4.1.se", make_attention<float>("se", {.channels = 512}, rng));
///     set_trainable<float>(net, false);
///     set_trainable<float>(net, true, below("layer4.1.se"));
///
/// Throws OptionError where `where` names no such slot (with the nearest slots there are), a layer of fixed type, a slot
/// that is taken, or where `attention` is empty.
template <class S, class Model>
void insert_attention(Model& model, const std::string& where, AnyLayer<S, 4> attention) {
  require<OptionError>(!attention.empty(), "insert_attention",
                       [&] { return "the attention for " + where + " is empty"; });
  Walk<S> found;
  walk(found, model);
  AnyLayer<S, 4>* slot = nullptr;
  bool fixed = false;
  std::vector<std::string> slots;
  for (const auto& [key, path] : found.layers) {
    const bool any = key.type == &type_tag<AnyLayer<S, 4>>;
    if (any) slots.push_back(path);
    if (path != where) continue;
    if (any && !slot)
      slot = static_cast<AnyLayer<S, 4>*>(const_cast<void*>(key.address));  // the model is not const
    else if (!any)
      fixed = true;
  }
  require<OptionError>(slot, "insert_attention", [&] {
    return (fixed ? where + " is a layer of fixed type; an AnyLayer is needed" : "there is no " + where) +
           "; the nearest slots are " + detail::nearest_names(where, slots);
  });
  require<OptionError>(slot->empty(), "insert_attention",
                       [&] { return "the slot " + where + " is taken; an empty one is needed"; });
  *slot = AnyLayer<S, 4>(IdentityStart<S>(std::move(attention)));
}

ATTEND_END
