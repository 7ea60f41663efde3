"""python -m fooling_utils.lecture"""

from . import main

main()
