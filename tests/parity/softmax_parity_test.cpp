#include "attend/functional/softmax.hpp"

#include "parity/golden.hpp"

namespace softmax_parity_test {
namespace {
using namespace attend;

template <int R>
golden::Check soft(int axis) {
  return golden::function<R>([axis](const auto& x) { return softmax(x, axis); });
}
template <int R>
golden::Check log_soft(int axis) {
  return golden::function<R>([axis](const auto& x) { return log_softmax(x, axis); });
}
const golden::Cases cases("softmax", {
                                         {"softmax_last", soft<3>(-1)},
                                         {"softmax_middle", soft<3>(1)},
                                         {"softmax_first", soft<2>(0)},
                                         {"softmax_one", soft<2>(1)},
                                         {"softmax_large", soft<2>(1)},
                                         {"log_softmax_last", log_soft<3>(2)},
                                         {"log_softmax_middle", log_soft<3>(-2)},
                                         {"log_softmax_first", log_soft<2>(0)},
                                         {"log_softmax_one", log_soft<2>(-1)},
                                         {"log_softmax_large", log_soft<2>(-1)},
                                     });
}  // namespace
}  // namespace softmax_parity_test
