// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
auto f(const Variable<float, 2>& x, const Variable<float, 3>& y) { return x + y; }
#else
auto f(const Variable<float, 2>& x, const Variable<float, 2>& y) { return x + y; }
#endif
