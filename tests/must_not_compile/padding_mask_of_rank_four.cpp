// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
PaddingMask f(const Tensor<bool, 4>& m) { return PaddingMask(m); }
#else
PaddingMask f(const Tensor<bool, 2>& m) { return PaddingMask(m); }
#endif
