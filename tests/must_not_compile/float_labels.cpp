// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
auto f(const Variable<float, 2>& x, const Tensor<float, 1>& labels) { return cross_entropy(x, labels); }
#else
auto f(const Variable<float, 2>& x, const Tensor<int, 1>& labels) { return cross_entropy(x, labels); }
#endif
