;;; rnnlint.el --- rnnlint in Emacs, by Eglot  -*- lexical-binding: t; -*-

;; Load this from your init file; `rnnlint' must be on the path.  Eglot has one server for a
;; buffer: if you use another for Python, put a multiplexer such as `rass' in front of both.

(require 'eglot)

(add-to-list 'eglot-server-programs
             '((python-mode python-ts-mode) . ("rnnlint" "server")))

(defun rnnlint-fix-all ()
  "Make the repairs of rnnlint that are safe in this buffer."
  (interactive)
  (eglot-code-actions (point-min) (point-max) "source.fixAll.rnnlint" t))

(provide 'rnnlint)
;;; rnnlint.el ends here
