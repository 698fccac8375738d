;;; emacs.el --- What a person does in Emacs  -*- lexical-binding: t; -*-

;; With the settings that README.md shows: open a file of a project, read what is found, type,
;; and have it repaired.  Ends with an error if it fails.

(require 'python)
(load (getenv "RNNLINT_SETTINGS") nil t)

(defun codes ()
  "What is found in this buffer, by code, with the line."
  (mapcar (lambda (diagnostic)
            (cons (flymake-diagnostic-text diagnostic)
                  (line-number-at-pos (flymake-diagnostic-beg diagnostic))))
          (flymake-diagnostics)))

(defun line-of (code)
  "The line on which CODE is found; nil if it is not."
  (cdr (seq-find (lambda (found) (string-match-p code (car found))) (codes))))

(defun wait-until (what holds)
  "Wait until HOLDS returns something, which is called WHAT."
  (let ((patience 1200) (result nil))
    (while (and (not (setq result (funcall holds))) (> patience 0))
      (setq patience (1- patience))
      (accept-process-output nil 0.1)
      (sit-for 0))
    (unless result
      (message "emacs: waited in vain until %s; found %S" what (codes))
      (kill-emacs 1))
    result))

(setq eglot-sync-connect t
      eglot-connect-timeout 120
      eglot-confirm-server-initiated-edits nil
      create-lockfiles nil
      make-backup-files nil)

(find-file "train.py")
(apply #'eglot (eglot--guess-contact))
(defvar code "missing-gradient-clipping")
(defvar row (wait-until "the finding is shown" (lambda () (line-of code))))
(save-excursion
  (goto-char (point-min))
  (insert "# \U0001d11e, which is two units of UTF-16\n"))
(run-hooks 'post-command-hook)
(eglot--signal-textDocument/didChange)
(wait-until "the finding has moved" (lambda () (equal (line-of code) (1+ row))))
(rnnlint-fix-all)
(eglot--signal-textDocument/didChange)
(wait-until "the finding is gone" (lambda () (not (line-of code))))
(save-buffer)
(eglot-shutdown (eglot-current-server))
(kill-emacs 0)
;;; emacs.el ends here
